import CHost
import CLIKit
import Client
import Glibc
import Model
import WireTypes

/// Sends a folder to the daemon's builder and shows what it prints.
struct ImageBuild {
    let global: GlobalOptions

    /// The fingerprint of the image.
    func run(_ post: API.BuildPost, context folder: String) throws -> String {
        let archive = try BuildContext(folder)
        var last = API.BuildEvent()
        let header = (
            API.BuildPost.header, PercentEncoding.encode(String(decoding: try JSON.encode(post), as: UTF8.self))
        )
        try global.client.uploadForLines(Endpoint(["images", "build"]), headers: [header], body: archive.body()) {
            line in
            let event = try JSON.decode(API.BuildEvent.self, from: line)
            if let text = event.line {
                if !global.quiet { Style.output.write(PlainText.escaped(text) + "\n") }
            } else {
                last = event
            }
        }
        if let error = last.error { throw ClientError(.refused(status: last.errorCode ?? 500), error) }
        guard let fingerprint = last.fingerprint else {
            throw ClientError(.connectionLost, "the daemon ended the build without a word")
        }
        return fingerprint
    }
}

/// A folder as a tar in a temporary file, which has no name: nothing is left, however the build ends.
private struct BuildContext {
    private let file: OwnedDescriptor
    private let size: Int64

    /// Packed by tar(1), owners and times as they are.
    init(_ folder: String) throws {
        let place = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array("\(place)/isle-build-XXXXXX".utf8CString)
        let raw = mkstemp(&template)
        guard raw >= 0 else {
            throw ClientError(
                .local, "a temporary file cannot be made in \(place): \(String(cString: strerror(errno)))")
        }
        file = OwnedDescriptor(raw)
        unlink(template)
        // mkstemp(3) leaves the file open for tar(1), too.
        let status = Self.pack(folder, "/proc/self/fd/\(raw)")
        size = Int64(lseek(raw, 0, SEEK_END))
        guard status == 0, size >= 0, lseek(raw, 0, SEEK_SET) == 0 else {
            throw ClientError(.local, "the folder \(Quantity.quoted(folder)) cannot be packed")
        }
    }

    private static func pack(_ folder: String, _ path: String) -> Int32 {
        let arguments = ["tar", "-C", folder, "-cf", path, "--", "."]
        var pointers = arguments.map { strdup($0) }
        pointers.append(nil)
        defer { for pointer in pointers { free(pointer) } }
        return isle_cli_run_foreground("tar", pointers)
    }

    func body() -> HTTPRequest.Body {
        var left = size
        return .stream(length: size) {
            if left == 0 { return nil }
            guard let piece = LocalFile.piece(of: file, most: Int(min(left, 1 << 18))), !piece.isEmpty else {
                throw ClientError(.local, "the packed build context became shorter")
            }
            left -= Int64(piece.count)
            return piece
        }
    }
}
