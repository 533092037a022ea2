import Archive
public import DriverKit
import FoundationEssentials
import Glibc
import LinuxHost
import Model
import Synchronization

/// Builds by buildah(1), which keeps its layers between builds in a storage of its own.
///
///     build/storage    layers and cache, owned by the ids of the builds' user namespace
///     build/<id>       context, secrets and result of one build
///
/// Steps run in a chroot within a user namespace, on the network of the daemon's namespace unless they shall have none.
public final class BuildahBuilder: ImageBuilder {
    private let folder: String
    private let sandbox: BuildSandbox
    /// Builds that run now.
    private let running = Mutex(0)
    /// One preparation of the same base image at a time.
    private let pulling = KeyedLock<String>()

    /// - Parameters:
    ///   - stateDirectory: builds are kept in `build` below it.
    ///   - runDirectory: a folder that everybody may pass through; the storage is shown to builds in `build` below it.
    public init(stateDirectory: String, runDirectory: String) {
        folder = stateDirectory + "/build"
        sandbox = BuildSandbox(folder: folder, shown: runDirectory + "/build")
    }

    public func check() async -> HostCheck {
        guard access("/usr/bin/buildah", X_OK) == 0 else {
            return HostCheck(
                "image builder", .warning, "buildah is not installed",
                advice: "apt-get install buildah; all but isle build and docker build works without it")
        }
        return HostCheck("image builder", .ok, "buildah \((try? await version()) ?? "of an unknown version")")
    }

    private func version() async throws -> String {
        let text = try await ProcessRunner.check("buildah", ["--version"], timeout: .seconds(20)).outputText
        return text.split(separator: " ").dropFirst(2).first.map(String.init) ?? "0"
    }

    // MARK: one build

    public func prepare(_ request: BuildRequest) async throws -> BuildWork {
        guard access("/usr/bin/buildah", X_OK) == 0 else {
            throw EngineError(
                .unsupported, "buildah is not installed, so images cannot be built", hint: "apt-get install buildah")
        }
        let number = UInt64.random(in: 0..<(1 << 48))
        let id = String(repeating: "0", count: 12 - String(number, radix: 16).utf8.count) + String(number, radix: 16)
        let work = "\(folder)/\(id)"
        try await runBlocking { [self] in
            try makeFolders()
            for name in ["", "/context", "/secrets", "/bases", "/out"] { try BuildFiles.make(work + name) }
        }
        do {
            let text = try await unpack(request, work)
            let file = try Dockerfile(text, values: request.arguments, target: request.target)
            if file.hasHeredoc, try await !Self.knowsHeredocs(version()) {
                throw EngineError(
                    .unsupported, "the Dockerfile has a here-document, which the installed buildah does not know",
                    hint: "buildah 1.33 and later do; write the text by printf, or COPY a file")
            }
            var names: [String] = []
            for base in file.bases where !names.contains(base.name) { names.append(base.name) }
            return BuildWork(id: id, request: request, folder: work, bases: names, steps: file.steps)
        } catch {
            await BuildFiles.remove(id, from: folder)
            throw error
        }
    }

    /// Unpacks the context, which then belongs to the builds' root, and gives the Dockerfile's text.
    private func unpack(_ request: BuildRequest, _ work: String) async throws -> String {
        let raw = open(request.context, O_RDONLY | O_CLOEXEC)
        guard raw >= 0 else { throw EngineError.system(errno, "open the build context") }
        let root = try RootDirectory(path: work + "/context")
        _ = try await TreeUnpacker.unpack(
            OwnedDescriptor(raw), named: "of the build context", into: root,
            options: UnpackOptions(whiteouts: .ordinary, devices: .skip, keepOwners: false))
        let bytes: [UInt8]
        do { bytes = try root.readFile(request.dockerfile, limit: 4 << 20) } catch let error as EngineError
            where error.code == .notFound
        {
            throw EngineError(
                .invalidArgument, "the build context has no \(Names.quoted(request.dockerfile))",
                hint: "name the Dockerfile with --file")
        }
        let folder = RootDirectoryOwner(user: UserNamespace.base)
        try await runBlocking {
            // The file that was named, whatever .dockerignore says about it.
            try BuildFiles.write(work + "/Dockerfile", bytes)
            for (index, secret) in request.secrets.sorted(by: { $0.key < $1.key }).enumerated() {
                try BuildFiles.write("\(work)/secrets/\(index)", secret.value)
            }
            try folder.take(root)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func knowsHeredocs(_ version: String) -> Bool {
        let parts = version.split(separator: ".").compactMap { Int($0) }
        return parts.count >= 2 && (parts[0], parts[1]) >= (1, 33)
    }

    public func build(
        _ work: BuildWork, bases: [String: BuildBase], output: @escaping @Sendable (String) -> Void
    ) async throws -> BuiltImage {
        running.withLock { $0 += 1 }
        do {
            let image = try await run(work, bases, output)
            running.withLock { $0 -= 1 }
            return image
        } catch {
            let isLast = running.withLock { count in
                count -= 1
                return count == 0
            }
            // Containers of a build that was cut short; those of others would be hit, too.
            if isLast { await Task { await removeContainers() }.value }
            throw error
        }
    }

    private func run(
        _ work: BuildWork, _ bases: [String: BuildBase], _ output: @escaping @Sendable (String) -> Void
    ) async throws -> BuiltImage {
        let shown = "\(sandbox.shown)/\(work.id)"
        let bytes = try RootDirectory(path: work.folder).readFile("Dockerfile", limit: 4 << 20)
        let request = work.request
        let file = try Dockerfile(
            String(decoding: bytes, as: UTF8.self), values: request.arguments, target: request.target)
        let isCached = !BuildArguments.escapeTheCache(String(decoding: bytes, as: UTF8.self), request.arguments)
        var arguments = [
            "build", "--isolation", "chroot", "--identity-label=false", "--format", "docker", "--layers=\(isCached)",
            "--pull=never", "--signature-policy",
            "\(sandbox.shown)/policy.json", "--iidfile", "\(shown)/out/id", "--file", "\(shown)/Dockerfile",
        ]
        var names: [String: String] = [:]
        for base in file.bases {
            guard let found = bases[base.name] else { continue }
            let id = try await bring(found, work)
            names[id] = base.name
            arguments += ["--build-context", "\(base.written)=docker-image://\(id)"]
        }
        if request.noCache { arguments.append("--no-cache") }
        if request.squash { arguments.append("--squash") }
        if let target = request.target { arguments += ["--target", target] }
        if let size = request.shmSize { arguments += ["--shm-size", String(size)] }
        for (name, value) in request.arguments.sorted(by: { $0.key < $1.key }) {
            arguments += ["--build-arg", "\(name)=\(value)"]
        }
        for (name, value) in request.labels.sorted(by: { $0.key < $1.key }) {
            arguments += ["--label", "\(name)=\(value)"]
        }
        for host in request.extraHosts { arguments += ["--add-host", host] }
        for (index, id) in request.secrets.keys.sorted().enumerated() {
            arguments += ["--secret", "id=\(id),src=\(shown)/secrets/\(index)"]
        }
        for (id, path) in request.ssh.sorted(by: { $0.key < $1.key }) { arguments += ["--ssh", "\(id)=\(path)"] }
        arguments += ["--", "\(shown)/context"]
        let lines = BuildOutput(total: work.steps, build: work.id, names: names, sink: output)
        do {
            _ = try await sandbox.run(arguments, withNetwork: request.hasNetwork) { lines.line($0) }
        } catch let error as EngineError where error.code == .invalidArgument {
            throw EngineError(.invalidArgument, BuildOutput.failure(error.message) ?? error.message)
        }
        return try await take(work, bases, shown)
    }

    /// Sees to it that the builder has a base image; gives its id there.
    private func bring(_ base: BuildBase, _ work: BuildWork) async throws -> String {
        let image = base.image
        let id = String(image.configDigest.dropFirst("sha256:".utf8.count))
        return try await pulling.withLock(id) {
            do {
                _ = try await sandbox.run(["inspect", "--type", "image", "--format", "{{.FromImageID}}", "--", id])
                return id
            } catch let error as EngineError where error.code == .invalidArgument {
                // It is not there yet.
            }
            let name = "bases/\(id)"
            try await runBlocking { [folder = work.folder] in
                try BuildFiles.layout(of: base, at: "\(folder)/\(name)")
            }
            let text = try await sandbox.run([
                "pull", "--quiet", "--signature-policy", "\(sandbox.shown)/policy.json",
                // Relative to the sandbox's folder: buildah makes a name of the path, and not every path makes one.
                "oci:\(work.id)/\(name)",
            ])
            return text.split(separator: "\n").last.map(String.init) ?? id
        }
    }

    /// Reads the result out of the builder's storage; layers that a base has stay where they are.
    private func take(_ work: BuildWork, _ bases: [String: BuildBase], _ shown: String) async throws -> BuiltImage {
        let out = try RootDirectory(path: work.folder + "/out", confinement: .beneath)
        let text = String(decoding: try out.readFile("id", limit: 256), as: UTF8.self)
        let id = text.hasPrefix("sha256:") ? String(text.dropFirst(7)) : text
        guard id.utf8.count == 64, id.utf8.allSatisfy({ (48...57).contains($0) || (97...102).contains($0) }) else {
            throw EngineError(.internal, "buildah named the image \(Names.quoted(id))")
        }
        _ = try await sandbox.run([
            "push", "--quiet", "--disable-compression", "--signature-policy", "\(sandbox.shown)/policy.json", id,
            "dir:\(shown)/out/image",
        ])
        let config = try out.readFile("image/\(id)", limit: 8 << 20)
        struct Configuration: Decodable {
            // An image without layers has no list of them either.
            struct Root: Decodable { var diff_ids: [String]? }
            var rootfs: Root
        }
        let known = Set(bases.values.flatMap { $0.image.layers.map(\.diffID) })
        let ids = try JSONDecoder().decode(Configuration.self, from: Data(config)).rootfs.diff_ids ?? []
        return BuiltImage(
            config: config,
            layers: try ids.map { diffID in
                guard !known.contains(diffID) else { return (diffID, nil) }
                let name = "image/\(diffID.dropFirst("sha256:".utf8.count))"
                guard try out.status(name)?.kind == .regular else {
                    throw EngineError(.internal, "buildah did not give the layer \(Names.quoted(diffID))")
                }
                return (diffID, "\(work.folder)/out/\(name)")
            })
    }

    public func finish(_ work: BuildWork) async { await BuildFiles.remove(work.id, from: folder) }

    // MARK: all builds

    public func prune() async throws -> Int64 {
        guard running.withLock({ $0 == 0 }) else {
            throw EngineError(.busy, "images are being built", hint: "try again later")
        }
        let before = try await usage()
        for name in ["storage", "running", "tmp", "home"] { await BuildFiles.remove(name, from: folder) }
        return before
    }

    public func usage() async throws -> Int64 {
        guard access(folder, F_OK) == 0 else { return 0 }
        return try await runBlocking { [folder] in try RootDirectory(path: folder).diskUsage() }
    }

    public func recover() async throws {
        guard access(folder, F_OK) == 0 else { return }
        let kept = ["storage", "policy.json"]
        for entry in try RootDirectory(path: folder).list() where !kept.contains(entry.name.text) {
            await BuildFiles.remove(entry.name.text, from: folder)
        }
        guard access(folder + "/storage/overlay-containers", F_OK) == 0, access("/usr/bin/buildah", X_OK) == 0 else {
            return
        }
        try makeFolders()
        await removeContainers()
    }

    private func removeContainers() async {
        // Left ones cost space until the next time; they stop no build.
        _ = try? await sandbox.run(["rm", "--all"])
    }

    private func makeFolders() throws {
        try BuildFiles.make(folder, owner: 0)
        try BuildFiles.make(sandbox.shown, owner: 0)
        for name in ["storage", "running", "tmp", "home"] { try BuildFiles.make("\(folder)/\(name)") }
        let policy = folder + "/policy.json"
        if access(policy, F_OK) != 0 {
            // What is here was verified when it came into the store.
            try BuildFiles.write(policy, Array(#"{"default":[{"type":"insecureAcceptAnything"}]}"#.utf8))
        }
    }
}
