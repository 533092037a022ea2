import DriverKit
import Glibc
import Model
import Synchronization

/// Layers and roots that exist in name only.
struct FakeStorage: Snapshotter, DiskMaker, FolderStore {
    func contains(layer: String) async throws -> Bool { true }
    func unpack(layer: String, archive: String) async throws {}
    func remove(layer: String) async throws {}
    func has(path: String, layer: String) async throws -> Bool { false }
    func layers() async throws -> [String: Int64] { [:] }
    func stack(_ layers: [String]) async throws -> LayerStack { LayerStack(directory: "/", paths: ["tmp"]) }
    func recover() async throws {}

    func prepareDisk(_ id: InstanceID, layers: [String], directory: String, size: Int64?) async throws -> DiskRoot {
        throw EngineError(.unsupported, "no disks")
    }
    func prepareDisk(_ id: InstanceID, image: String, format: DiskRoot.Format, directory: String, size: Int64?)
        async throws -> DiskRoot
    { throw EngineError(.unsupported, "no disks") }
    func prepareDisk(_ id: InstanceID, directory: String, size: Int64?) async throws -> DiskRoot {
        throw EngineError(.unsupported, "no disks")
    }
    func prune(keeping layersInUse: [[String]]) async throws {}

    func remove(_ path: String) async throws {}
    func usage(_ path: String) async throws -> Int64 { 4096 }
}

/// Networks that are never made.
struct FakeNetwork: NetworkDriver {
    func up(_ network: NetworkSpec) async throws {}
    func down(_ network: NetworkSpec) async throws {}
    func connect(_ endpoint: NetworkEndpoint, namespace: OwnedDescriptor) async throws {}
    func tap(_ endpoint: NetworkEndpoint, owner: UInt32) async throws -> String { "tap0" }
    func disconnect(_ endpoint: NetworkEndpoint) async throws {}
    func detach(_ endpoint: NetworkEndpoint, from namespace: OwnedDescriptor) async throws {}
    func links(of endpoints: [NetworkEndpoint]) async throws -> [NetworkEndpoint: HostEnd] { [:] }
    func interfaces(in namespace: OwnedDescriptor) async throws -> [GuestInterface] { [] }
    func refresh(_ endpoint: NetworkEndpoint) async throws {}
    func setReady(_ endpoint: NetworkEndpoint, _ isReady: Bool) async throws {}
    func freeSubnets(avoiding taken: [String]) async throws -> (ipv4: String, ipv6: String) {
        ("10.98.0.1/24", "fd98::1/64")
    }
    func freePort(_ address: String, _ transport: PortMapping.Transport) async throws -> UInt16 { 40000 }
    func adopt(_ networks: [NetworkSpec], endpoints: [NetworkEndpoint], keepsOthers: Bool) async throws {}
    func counters(_ endpoint: NetworkEndpoint) async throws -> NetworkCounters? { nil }
    func leases(_ network: NetworkSpec) async throws -> [DriverKit.NetworkLease] { [] }
}

/// Images that are made up on demand: every name leads to one whose program is `sleep 1000`; `gone/…` is not found,
/// and `slow/…` takes a while and says so.
final class FakeImages: ImageSource {
    private let imported = Mutex<[String]>([])
    /// What was imported: the content of the files.
    var contents: [String] { imported.withLock { $0 } }

    func candidates(_ text: String) throws -> [String] {
        text.contains("/") ? [text] : ["docker.io/library/\(text):latest"]
    }

    private func image(_ name: String) -> IncomingImage {
        let hash = name.utf8.reduce(UInt64(14_695_981_039_346_656_037)) { ($0 ^ UInt64($1)) &* 1_099_511_628_211 }
        let digits = String(hash | 1 << 63, radix: 16)
        let digest = "sha256:" + digits + digits + digits + digits
        return IncomingImage(
            digest: digest, manifestMediaType: "application/vnd.oci.image.manifest.v1+json", configDigest: digest,
            content: .rootFilesystem, architecture: "x86_64",
            config: ImageConfig(env: ["PATH=/usr/bin:/bin"], cmd: ["/bin/sleep", "1000"]),
            layers: [.init(digest: digest, diffID: digest, size: 7, mediaType: "tar")], size: 1234, createdAt: 1000)
    }

    func pull(
        _ reference: String, architecture: String, credentials: RegistryCredentials?,
        progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws -> IncomingImage {
        if reference.contains("gone") { throw EngineError(.notFound, "image \(reference) does not exist") }
        if reference.contains("slow") {
            for step in 1...50 {
                progress(TransferProgress(stage: "pulling", done: Int64(step), total: 50))
                try await Task.sleep(for: .milliseconds(100))
            }
        }
        return image(reference)
    }

    func push(
        _ digest: String, to reference: String, credentials: RegistryCredentials?,
        progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws {}

    func importFile(
        _ path: String, architecture: String, progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws -> [IncomingImage] {
        guard let file = fopen(path, "r") else { throw EngineError(.notFound, "no file \(path)") }
        defer { fclose(file) }
        var buffer = [UInt8](repeating: 0, count: 64)
        let count = fread(&buffer, 1, buffer.count, file)
        fseek(file, 0, SEEK_END)
        let name = path.split(separator: "/").last.map(String.init) ?? ""
        imported.withLock {
            $0.append("\(name) \(ftell(file)) \(String(decoding: buffer[..<count].prefix(5), as: UTF8.self))")
        }
        return [image(path)]
    }

    func importStream(
        _ descriptor: OwnedDescriptor, name: String, architecture: String,
        progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws -> [IncomingImage] { [image(name)] }

    func bootstrap(
        distribution: String, suite: String, variant: String, architecture: String,
        progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws -> IncomingImage { image("\(distribution)-\(suite)-\(variant)") }

    func export(_ images: [(digest: String, names: [String])], format: ImageArchiveFormat, to path: String)
        async throws
    {
        guard let file = fopen(path, "w") else { throw EngineError(.internal, "no file") }
        fputs(String(repeating: "tar!", count: 100_000), file)
        fclose(file)
    }

    func history(_ digest: String) async throws -> [ImageHistoryEntry] {
        [ImageHistoryEntry(created: "2020-01-01T00:00:00Z", createdBy: "RUN true", comment: "", size: 7)]
    }
    func blob(_ digest: String) async throws -> String { "/dev/null" }
    func prune(keeping: Set<String>) async throws -> Int64 { 77 }
    func usage() async throws -> Int64 { 0 }
    func recover() async throws {}
}
