public import DriverKit
import FoundationEssentials
import Glibc
import LinuxHost
public import Model
import NIOHTTP1

/// Images of simple streams servers, of other daemons with LXD's API, and of web addresses.
public struct RemoteImages: ImageRemotes {
    /// Bytes that one file may have where the server does not say: 1 TiB.
    private static let maxFile: Int64 = 1 << 40

    public var policy: AddressPolicy

    public init(policy: AddressPolicy) { self.policy = policy }

    public func find(_ origin: ImageOrigin, architecture: String, secret: String?) async throws -> RemoteImage {
        let fetcher = WebFetcher(policy: policy, certificate: origin.certificate)
        let server = try WebFetcher.parse(origin.server).absoluteString
        switch origin.access {
        case .simplestreams:
            return try await SimpleStreams(server: server, fetcher: fetcher).find(
                origin.alias, architecture: architecture, isMachine: origin.isMachine)
        case .lxd:
            return try await LXDServer(server: server, fetcher: fetcher, secret: secret).find(origin.alias)
        case .url:
            return try await ask(server, fetcher, architecture)
        }
    }

    /// LXD's way (`POST /1.0/images`, source `url`): the address itself answers with headers that name the image.
    private func ask(_ address: String, _ fetcher: WebFetcher, _ architecture: String) async throws -> RemoteImage {
        try await fetcher.with(
            .HEAD, address, headers: [("LXD-Server-Architectures", architecture), ("LXD-Server-Version", "5.0")]
        ) { answer in
            try WebFetcher.check(answer)
            guard let hash = answer.headers.first(name: "LXD-Image-Hash"),
                let url = answer.headers.first(name: "LXD-Image-URL")
            else {
                throw EngineError(
                    .unavailable, "\(Names.quoted(address)) does not name an image",
                    hint: "it has to answer with the headers LXD-Image-URL and LXD-Image-Hash")
            }
            let target = URL(string: url, relativeTo: URL(string: answer.address))?.absoluteString ?? url
            let fingerprint = try SimpleStreams.checkedDigest(hash.lowercased())
            let file = RemoteImage.File(
                address: try WebFetcher.parse(target).absoluteString, name: "image.tar", sha256: fingerprint)
            return RemoteImage(fingerprint: fingerprint, files: [file])
        }
    }

    public func fetch(
        _ image: RemoteImage, from origin: ImageOrigin, secret: String?, into folder: String,
        progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws -> BundleFiles {
        let fetcher = WebFetcher(policy: policy, certificate: origin.certificate)
        var paths: [String] = []
        var names: [String] = []
        for (index, file) in image.files.enumerated() {
            // Named here: what a server calls its files is no path.
            let path = "\(folder)/\(index)"
            let stage = "downloading file \(index + 1) of \(image.files.count)"
            let result = try await fetcher.download(file.address, to: path, limit: file.size ?? Self.maxFile) {
                progress(TransferProgress(stage: stage, done: $0, total: file.size ?? $1))
            }
            guard file.sha256 == nil || file.sha256 == result.sha256 else {
                throw EngineError(
                    .unavailable,
                    "\(Names.quoted(file.address)) should have the SHA-256 \(file.sha256 ?? "") and has \(result.sha256)"
                )
            }
            if let type = result.contentType, type.hasPrefix("multipart/form-data"), image.files.count == 1 {
                let parts = try await runBlocking {
                    try MultipartFile.split(path, contentType: type, into: folder)
                }
                guard parts.count == 2 else {
                    throw EngineError(
                        .unavailable, "\(Names.quoted(file.address)) has \(parts.count) parts and not two")
                }
                paths = parts.map(\.path)
                names = parts.map(\.name)
            } else {
                paths.append(path)
                names.append(result.filename ?? file.name)
            }
        }
        guard let first = paths.first else { throw EngineError(.unavailable, "the image has no files") }
        return BundleFiles(
            metadata: first, root: paths.count > 1 ? paths[1] : nil, rootIsDisk: image.isMachine, names: names)
    }
}
