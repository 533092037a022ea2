import ContentStore
import Foundation
import Glibc
import LinuxHost
import Model
import OCI
import Registry

/// Debian's docker-registry on a port of its own on loopback; ends with `stop`.
final class RealRegistry: Sendable {
    static let program = ["/usr/bin/docker-registry", "/usr/bin/registry"].first {
        FileManager.default.isExecutableFile(atPath: $0)
    }
    static let hasSkopeo = FileManager.default.isExecutableFile(atPath: "/usr/bin/skopeo")
    static let user = "kim"
    static let password = "pass:word ü"

    let port: Int
    let folder = TestFolder()
    private let process: Pidfd
    var authority: String { "localhost:\(port)" }

    struct Failed: Error { var text: String }

    /// - Parameters:
    ///   - password: ask for `user` and `password`.
    ///   - tls: speak TLS with a certificate for localhost; `folder.path + "/ca.crt"` is its root.
    static func start(password: Bool = false, tls: Bool = false) async throws -> RealRegistry {
        var lastFailure: any Error = Failed(text: "no docker-registry")
        for _ in 0..<3 {
            do {
                return try await RealRegistry(port: freePort(), password: password, tls: tls)
            } catch {
                lastFailure = error
            }
        }
        throw lastFailure
    }

    private init(port: Int, password: Bool, tls: Bool) async throws {
        guard let program = Self.program else { throw Failed(text: "docker-registry is not installed") }
        self.port = port
        var text = """
            version: 0.1
            log: {level: error, accesslog: {disabled: true}}
            storage:
              filesystem: {rootdirectory: \(folder.path)/data}
              delete: {enabled: true}
            http:
              addr: 127.0.0.1:\(port)

            """
        if tls {
            try await Self.makeCertificate(folder.path)
            text += "  tls: {certificate: \(folder.path)/server.crt, key: \(folder.path)/server.key}\n"
        }
        if password {
            let line = try await ProcessRunner.check(
                "python3",
                [
                    "-c",
                    "import crypt,sys; print(sys.argv[1]+':'+crypt.crypt(sys.argv[2], crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16)))",
                    Self.user, Self.password,
                ], environment: ["PYTHONWARNINGS=ignore", "PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8"]
            ).outputText
            text += "auth:\n  htpasswd: {realm: test, path: \(try folder.write("htpasswd", line))}\n"
        }
        let file = try folder.write("config.yml", text)
        let log = OwnedDescriptor(open(folder.path + "/log", O_WRONLY | O_CREAT | O_CLOEXEC, 0o600))
        process = try Spawn.start(
            program, ["serve", file], environment: ["OTEL_TRACES_EXPORTER=none"],
            streams: Spawn.Streams(output: log, error: log))
        for _ in 0..<2400 {
            if Self.accepts(port) { return }
            try await Task.sleep(for: .milliseconds(25))
        }
        kill(process.pid, SIGKILL)
        throw Failed(text: (try? String(contentsOfFile: folder.path + "/log", encoding: .utf8)) ?? "did not start")
    }

    func reference(_ path: String) throws -> ImageReference { try ImageReference(parsing: "\(authority)/\(path)") }

    /// Settings that see nothing of the machine's own configuration.
    func settings(_ change: (inout RegistrySettings) -> Void = { _ in }) -> RegistrySettings {
        var settings = RegistrySettings.isolated(folder)
        change(&settings)
        return settings
    }

    var credentials: RegistryCredentials { RegistryCredentials(username: Self.user, password: Self.password) }

    func stop() async throws {
        kill(process.pid, SIGKILL)
        try await process.ended()
        _ = try process.reap()
    }

    private static func makeCertificate(_ folder: String) async throws {
        func openssl(_ arguments: [String]) async throws { try await ProcessRunner.check("openssl", arguments) }
        let subject = "/CN=isle test root"
        try await openssl([
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
            "-subj",
            subject, "-keyout", folder + "/ca.key", "-out", folder + "/ca.crt",
        ])
        try await openssl([
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost", "-keyout", folder + "/server.key", "-out",
            folder + "/server.csr",
        ])
        let extensions = folder + "/ext"
        try Data("subjectAltName=DNS:localhost\n".utf8).write(to: URL(fileURLWithPath: extensions))
        try await openssl([
            "x509", "-req", "-in", folder + "/server.csr", "-CA", folder + "/ca.crt", "-CAkey", folder + "/ca.key",
            "-CAcreateserial", "-days", "2", "-extfile", extensions, "-out", folder + "/server.crt",
        ])
    }

    private static func freePort() -> Int {
        let socket = OwnedDescriptor(Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0))
        var address = loopback(0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                _ = bind(socket.raw, $0, length)
                _ = getsockname(socket.raw, $0, &length)
            }
        }
        return Int(UInt16(bigEndian: address.sin_port))
    }

    private static func accepts(_ port: Int) -> Bool {
        let socket = OwnedDescriptor(Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0))
        var address = loopback(port)
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(socket.raw, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }

    private static func loopback(_ port: Int) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        return address
    }
}

extension RegistrySettings {
    /// Settings that see nothing of the machine's own configuration, and do not wait long.
    static func isolated(_ folder: TestFolder) -> RegistrySettings {
        RegistrySettings(
            registriesFile: folder.path + "/registries.conf", registriesFolder: folder.path + "/registries.conf.d",
            certificateFolders: [folder.path + "/certs.d"], authFiles: [folder.path + "/auth.json"],
            helperTimeout: .seconds(5),
            retries: RetryPolicy(attempts: 4, firstPause: .milliseconds(5), longestPause: .milliseconds(20)),
            connectTimeout: .seconds(5), idleTimeout: .seconds(2))
    }
}

/// A client, a store, and their end.
func withTransfer<T>(
    _ settings: RegistrySettings, store: DiskContentStore, _ body: (ImageTransfer) async throws -> T
) async throws -> T {
    let client = RegistryClient(settings: settings)
    do {
        let result = try await body(ImageTransfer(client: client, store: store))
        try await client.shutdown()
        return result
    } catch {
        try? await client.shutdown()
        throw error
    }
}
