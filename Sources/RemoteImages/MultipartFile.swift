import Glibc
import LinuxHost
import Model

/// Takes a multipart answer that was written to a file apart into its parts (RFC 2046, section 5.1); blocks.
enum MultipartFile {
    /// A part: where its bytes are, and what it is called.
    private struct Part {
        var range: Range<Int>
        var header: String
    }

    /// Writes each part to `folder` as `part0`, `part1`; gives their paths and file names.
    static func split(_ path: String, contentType: String, into folder: String) throws -> [(path: String, name: String)]
    {
        guard let field = contentType.split(separator: ";").first(where: { $0.contains("boundary=") }) else {
            throw wrong("no boundary is stated")
        }
        let boundary = "--" + field.drop { $0 != "=" }.dropFirst().filter { $0 != "\"" && $0 != " " }
        let raw = open(path, O_RDONLY | O_CLOEXEC)
        guard raw >= 0 else { throw EngineError.system(errno, "open \(path)") }
        let file = OwnedDescriptor(raw)
        let size = Int(lseek(file.raw, 0, SEEK_END))
        guard size > 0, let map = mmap(nil, size, PROT_READ, MAP_PRIVATE, file.raw, 0), map != MAP_FAILED else {
            throw wrong("it is empty")
        }
        defer { munmap(map, size) }
        let bytes = UnsafeRawBufferPointer(start: map, count: size)
        var results: [(path: String, name: String)] = []
        for (index, part) in try parts(bytes, boundary).enumerated() {
            let target = "\(folder)/part\(index)"
            let out = open(target, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
            guard out >= 0 else { throw EngineError.system(errno, "create \(target)") }
            let output = OwnedDescriptor(out)
            var rest = UnsafeRawBufferPointer(rebasing: bytes[part.range])
            while !rest.isEmpty {
                let count = write(output.raw, rest.baseAddress, rest.count)
                guard count > 0 || errno == EINTR else { throw EngineError.system(errno, "write \(target)") }
                if count > 0 { rest = UnsafeRawBufferPointer(rebasing: rest[count...]) }
            }
            results.append((target, Self.fileName(part.header)))
        }
        return results
    }

    private static func fileName(_ header: String) -> String {
        guard let field = header.split(separator: ";").first(where: { $0.contains("filename=") }) else { return "part" }
        let value = field.drop { $0 != "=" }.dropFirst().prefix { $0 != "\r" && $0 != "\r\n" }
        return String(value.filter { $0 != "\"" && $0 != "/" })
    }

    private static func parts(_ bytes: UnsafeRawBufferPointer, _ boundary: String) throws -> [Part] {
        let first = Array((boundary + "\r\n").utf8)
        let mark = Array(("\r\n" + boundary).utf8)
        guard bytes.starts(with: first) else { throw wrong("it does not begin with its boundary") }
        var position = first.count
        var parts: [Part] = []
        while parts.count < 4 {
            guard let headerEnd = find(Array("\r\n\r\n".utf8), in: bytes, from: position, limit: 16384),
                let end = find(mark, in: bytes, from: headerEnd + 2, limit: bytes.count)
            else { throw wrong("it is cut off") }
            let header = String(decoding: bytes[position..<headerEnd], as: UTF8.self)
            parts.append(Part(range: min(headerEnd + 4, end)..<end, header: header))
            position = end + mark.count
            guard position + 2 <= bytes.count else { throw wrong("it is cut off") }
            if bytes[position] == UInt8(ascii: "-") { return parts }
            position += 2
        }
        throw wrong("it has too many parts")
    }

    private static func find(_ mark: [UInt8], in bytes: UnsafeRawBufferPointer, from start: Int, limit: Int) -> Int? {
        guard let base = bytes.baseAddress else { return nil }
        let last = min(bytes.count, start + limit) - mark.count
        var index = start
        while index <= last, let next = memchr(base + index, Int32(mark[0]), last - index + 1) {
            index = UnsafeRawPointer(next) - base
            if memcmp(base + index, mark, mark.count) == 0 { return index }
            index += 1
        }
        return nil
    }

    private static func wrong(_ what: String) -> EngineError {
        EngineError(.unavailable, "an image in two parts was delivered wrongly: \(what)")
    }
}
