import CLIKit
import Client
import Glibc
import Model
import WireTypes

/// Brings a file of this machine into the daemon's store, over the socket: the user of the CLI may read it, the
/// daemon need not be able to.
struct ImageUpload {
    let global: GlobalOptions
    let client: IsleClient

    /// What the store knows it by afterwards: its fingerprint.
    func run(_ path: String, reference: String? = nil, format: String? = nil) throws -> String {
        let file = OwnedDescriptor(open(path, O_RDONLY | O_CLOEXEC))
        guard file.raw >= 0 else {
            throw ClientError(.local, "\(Quantity.quoted(path)) cannot be opened: \(String(cString: strerror(errno)))")
        }
        guard let size = LocalFile.regularSize(path) else {
            throw ClientError(.local, "\(Quantity.quoted(path)) is not a regular file")
        }
        var headers = [(name: API.ImageUploadHeader.filename, value: PercentEncoding.encode(LocalFile.name(of: path)))]
        if let reference { headers.append((API.ImageUploadHeader.reference, reference)) }
        if let format { headers.append((API.ImageUploadHeader.format, format)) }
        let display = ProgressDisplay(quiet: global.quiet || size < 16 << 20)
        var left = size
        let body = HTTPRequest.Body.stream(length: size) {
            if left == 0 { return nil }
            display.show(ProgressLine(stage: "upload", done: size - left, total: size))
            guard let piece = LocalFile.piece(of: file, most: Int(min(left, 1 << 18))), !piece.isEmpty else {
                throw ClientError(.local, "\(Quantity.quoted(path)) became shorter while it was read")
            }
            left -= Int64(piece.count)
            return piece
        }
        let operation = try client.upload(Endpoint(["images"]), headers: headers, body: body)
        display.clear()
        let done = try global.finish(operation, with: client)
        guard let fingerprint = done.metadata?["fingerprint"]?.stringValue else {
            throw ClientError(.malformedAnswer, "the daemon did not name the image made of \(Quantity.quoted(path))")
        }
        return fingerprint
    }

    /// Bytes of a module up to which its digest is taken first: reading a small file twice costs less than sending it.
    private static let smallModule: Int64 = 32 << 20

    /// What the daemon may know a module of this machine by already: the digest of its content; nil for anything else.
    func knownAs(_ image: String) -> String? {
        guard ImageNames.looksLikeFile(image), image.hasSuffix(".wasm"), let size = LocalFile.regularSize(image),
            size <= Self.smallModule
        else { return nil }
        let file = OwnedDescriptor(open(image, O_RDONLY | O_CLOEXEC))
        guard file.raw >= 0 else { return nil }
        var hash = SHA256()
        while let piece = LocalFile.piece(of: file, most: 1 << 18), !piece.isEmpty { hash.update(piece) }
        return "content:sha256:" + hash.finish()
    }

    /// `image` as the daemon may look it up: a file of this machine is brought into the store first.
    func reference(for image: String) throws -> String {
        guard ImageNames.looksLikeFile(image), LocalFile.regularSize(image) != nil else {
            if ImageNames.isPath(image) {
                throw ClientError(
                    .local, "there is no file \(Quantity.quoted(image))",
                    hint: "an image's reference does not begin with '.' or '/'")
            }
            return image
        }
        return try run(image)
    }
}
