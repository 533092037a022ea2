import DoorKit
import Glibc
import HummingbirdCore
import Model
import NIOCore

/// Takes the parts of a `multipart/form-data` body (RFC 7578, RFC 2046 section 5.1) apart as they come, each into a
/// file of its own. Parts are bounded in number, their headers in size; a body that ends too early is refused.
struct MultipartReader {
    /// One part that was written.
    struct Part: Sendable {
        var name: String
        var filename: String
        var file: Spool
    }

    private static let maxParts = 4
    private static let maxHeader = 16 << 10

    private enum Place { case preamble, boundary, header, content, epilogue }

    private let boundary: [UInt8]
    private let directory: String
    private var place = Place.preamble
    // The first boundary has no line before it.
    private var buffer = Array("\r\n".utf8)
    private var parts: [Part] = []
    private var writer: Spool.Writer?

    /// - Parameter type: the request's `Content-Type`; nil unless it is one with a boundary.
    init?(type: String, directory: String) {
        let fields = type.split(separator: ";").map { $0.trimmed }
        guard fields.first?.lowercased() == "multipart/form-data",
            let field = fields.first(where: { $0.lowercased().hasPrefix("boundary=") })
        else { return nil }
        let text = field.dropFirst("boundary=".utf8.count).filter { $0 != "\"" }
        guard (1...70).contains(text.utf8.count) else { return nil }
        boundary = Array("\r\n--".utf8) + Array(text.utf8)
        self.directory = directory
    }

    /// Reads the whole body. On an error no file is left.
    mutating func read(_ body: RequestBody) async throws -> [Part] {
        do {
            for try await bytes in body {
                buffer.append(contentsOf: bytes.readableBytesView)
                while try await step() {}
            }
            guard place == .epilogue else { throw Self.wrong("ends within a part") }
            return parts
        } catch {
            for part in parts { await part.file.remove() }
            throw error
        }
    }

    /// One step on; false when more bytes are needed.
    private mutating func step() async throws -> Bool {
        switch place {
        case .preamble:
            guard let found = Self.find(boundary, in: buffer) else {
                guard buffer.count < Self.maxHeader else { throw Self.wrong("does not begin with its boundary") }
                return false
            }
            buffer.removeFirst(found + boundary.count)
            place = .boundary
        case .boundary:
            // `--` is the end, else a line's end and a part follow.
            guard buffer.count >= 2 else { return false }
            if buffer.starts(with: Array("--".utf8)) {
                place = .epilogue
            } else if buffer.starts(with: Array("\r\n".utf8)) {
                place = .header
            } else {
                throw Self.wrong("has a damaged boundary")
            }
        case .header:
            let end = Array("\r\n\r\n".utf8)
            guard let found = Self.find(end, in: buffer) else {
                guard buffer.count < Self.maxHeader else { throw Self.wrong("has a part with an endless header") }
                return false
            }
            try begin(String(decoding: buffer[..<found], as: UTF8.self))
            buffer.removeFirst(found + end.count)
            place = .content
        case .content:
            return try await copy()
        case .epilogue:
            // What follows the end means nothing.
            buffer.removeAll()
            return false
        }
        return true
    }

    private mutating func begin(_ header: String) throws {
        guard parts.count < Self.maxParts else { throw Self.wrong("has more than \(Self.maxParts) parts") }
        guard let name = Self.parameter("name", header) else { throw Self.wrong("has a part without a name") }
        let filename = Self.parameter("filename", header) ?? ""
        let spool = try Spool(directory: directory, name: filename, format: nil)
        parts.append(Part(name: name, filename: filename, file: spool))
        writer = try spool.writer()
    }

    private mutating func copy() async throws -> Bool {
        guard let writer else { throw Self.wrong("has content without a part") }
        if let found = Self.find(boundary, in: buffer) {
            try await writer.write(ByteBuffer(bytes: buffer[..<found]))
            try await writer.finish()
            self.writer = nil
            buffer.removeFirst(found + boundary.count)
            place = .boundary
            return true
        }
        // A boundary may have begun at the end.
        let safe = buffer.count - boundary.count
        if safe > 0 {
            try await writer.write(ByteBuffer(bytes: buffer[..<safe]))
            buffer.removeFirst(safe)
        }
        return false
    }

    private static func find(_ mark: [UInt8], in buffer: [UInt8]) -> Int? {
        buffer.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return nil }
            var index = 0
            while index + mark.count <= bytes.count {
                let rest = bytes.count - mark.count - index + 1
                guard let next = memchr(base + index, Int32(mark[0]), rest) else { return nil }
                index = UnsafeRawPointer(next) - base
                if memcmp(base + index, mark, mark.count) == 0 { return index }
                index += 1
            }
            return nil
        }
    }

    /// A value of the part's `Content-Disposition`.
    private static func parameter(_ name: String, _ header: String) -> String? {
        let line = header.split(separator: "\r\n").first { $0.lowercased().hasPrefix("content-disposition:") }
        for field in (line ?? "").split(separator: ";") {
            let field = field.trimmed
            guard field.lowercased().hasPrefix(name + "=") else { continue }
            return String(field.dropFirst(name.utf8.count + 1).filter { $0 != "\"" })
        }
        return nil
    }

    private static func wrong(_ what: String) -> EngineError {
        EngineError(.invalidArgument, "the multipart body \(what)")
    }
}

extension Substring {
    /// Without spaces at both ends.
    var trimmed: Substring {
        var text = drop { $0 == " " || $0 == "\t" }
        while text.last == " " || text.last == "\t" { text.removeLast() }
        return text
    }
}
