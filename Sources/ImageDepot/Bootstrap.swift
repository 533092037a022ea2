public import DriverKit
import FoundationEssentials
import Glibc
import LinuxHost
import Model

extension ImageDepot {
    /// Packages of each variant beyond mmdebstrap's `minbase`.
    private static let variants: [String: [String]] = [
        "minbase": [],
        "system": ["systemd", "systemd-sysv", "dbus", "iproute2", "iputils-ping", "ca-certificates"],
    ]

    public func bootstrap(
        distribution: String, suite: String, variant: String, architecture: String,
        progress: @escaping @Sendable (DriverKit.TransferProgress) -> Void
    ) async throws -> IncomingImage {
        guard let packages = Self.variants[variant] else {
            throw EngineError(
                .invalidArgument, "\(Names.quoted(variant)) is not a variant of \(distribution)/\(suite)",
                hint: "variants: " + Self.variants.keys.sorted().joined(separator: ", "))
        }
        let file = "\(temporary)/bootstrap-\(UInt64.random(in: .min ... .max)).tar"
        defer { unlink(file) }
        progress(DriverKit.TransferProgress(stage: "bootstrapping \(distribution)/\(suite)", done: 0, total: nil))
        let mirror = try Mirror(distribution: distribution, suite: suite)
        var arguments = [
            "--variant=minbase", "--format=tar", "--quiet",
            "--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/doc/*",
            "--dpkgopt=path-include=/usr/share/doc/*/copyright", "--aptopt=APT::Install-Recommends false",
        ]
        if !packages.isEmpty { arguments.append("--include=" + packages.joined(separator: ",")) }
        if variant == "system" { arguments += Self.systemHooks }
        arguments += ["--", suite, file] + mirror.lines
        let result: ProcessResult
        do {
            result = try await Self.inOwnFolder { folder in
                // apt's own user must be able to enter it, hence not below the state folder.
                try await ProcessRunner.run(
                    "mmdebstrap", arguments,
                    environment: ProcessInfo.processInfo.environment.merging(["TMPDIR": folder]) { $1 }
                        .map { "\($0)=\($1)" }, timeout: .seconds(1800))
            }
        } catch let error as EngineError where error.code == .notFound {
            throw EngineError(
                .unsupported, "mmdebstrap is not installed, so \(distribution)/\(suite) cannot be made",
                hint: "apt-get install mmdebstrap")
        }
        guard result.status.isSuccess else {
            throw EngineError(
                .unavailable,
                "\(distribution)/\(suite) cannot be made from the mirror \(mirror.address): \(result.lastWords)",
                hint: "is the suite's name right, and does the mirror carry it?")
        }
        return try await bringIn(
            rootFilesystem: file, architecture: architecture,
            command: variant == "system" ? ["/sbin/init"] : ["/bin/bash"],
            properties: ["os": distribution, "release": suite, "variant": variant], progress: progress)
    }

    /// Runs `body` with a folder for a tool's temporary files, which is gone afterwards, also when the tool was killed.
    private static func inOwnFolder(_ body: (String) async throws -> ProcessResult) async throws -> ProcessResult {
        let parent = try RootDirectory(path: "/tmp")
        let name = "isle-bootstrap-" + String(UInt64.random(in: .min ... .max), radix: 16)
        try parent.makeDirectory(name, mode: 0o755)
        let result: Result<ProcessResult, any Error>
        do { result = .success(try await body("/tmp/\(name)")) } catch { result = .failure(error) }
        // In a task of its own: a cancelled one would not wait.
        try await Task { try await runBlocking { try parent.removeTree(name) } }.value
        return try result.get()
    }

    /// A system image configures its network by DHCP, has no machine id yet and shows a login on its console.
    private static let systemHooks = [
        #"--customize-hook=printf '[Match]\nName=eth* en*\n[Network]\nDHCP=yes\nIPv6AcceptRA=yes\n[DHCPv4]\nClientIdentifier=mac\nUseDNS=yes\n' > "$1/etc/systemd/network/80-isle.network""#,
        #"--customize-hook=chroot "$1" systemctl enable systemd-networkd"#,
        #"--customize-hook=chroot "$1" systemctl mask systemd-networkd-wait-online.service"#,
        #"--customize-hook=: > "$1/etc/machine-id""#,
        #"--customize-hook=rm -f "$1/etc/hostname""#,
    ]
}

/// The package mirror that this machine's own apt uses for a distribution.
struct Mirror {
    /// Lines of a sources.list, or the mirror's address; what mmdebstrap takes behind its target.
    var lines: [String]
    var address: String

    /// `unsupported` if a distribution is asked for that the machine has no mirror of and none is known.
    init(distribution: String, suite: String) throws {
        if let own = Self.ownMirror(distribution) {
            address = own
        } else {
            switch distribution {
            case "debian": address = "http://deb.debian.org/debian"
            case "ubuntu": address = "http://archive.ubuntu.com/ubuntu"
            default:
                throw EngineError(
                    .unsupported, "no package mirror is known for \(Names.quoted(distribution))",
                    hint: "debian and ubuntu can be bootstrapped")
            }
        }
        lines = [address]
    }

    /// The first address of apt's sources whose last part is the distribution's name.
    private static func ownMirror(_ distribution: String) -> String? {
        var files = ["/etc/apt/sources.list"]
        if let folder = opendir("/etc/apt/sources.list.d") {
            defer { closedir(folder) }
            while let entry = readdir(folder) {
                let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                    String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
                }
                if name.hasSuffix(".list") || name.hasSuffix(".sources") {
                    files.append("/etc/apt/sources.list.d/\(name)")
                }
            }
        }
        for file in files {
            guard let bytes = try? readSmallFile(file, limit: 1 << 20) else { continue }
            for word in String(decoding: bytes, as: UTF8.self).split(whereSeparator: { $0.isWhitespace }) {
                var address = String(word)
                if address.hasSuffix("/") { address.removeLast() }
                if address.hasPrefix("http"), address.hasSuffix("/\(distribution)") { return address }
            }
        }
        return nil
    }
}
