import Glibc
import Model

/// The bytes of a small file (proc, sysfs, a record), read to its end without trusting its stated size.
/// - Throws: `notFound` if it does not exist; `resourceExhausted` beyond `limit` bytes.
public func readSmallFile(_ path: String, limit: Int = 1 << 20) throws -> [UInt8] {
    let raw = open(path, O_RDONLY | O_CLOEXEC)
    guard raw >= 0 else {
        let number = errno
        throw EngineError(
            number == ENOENT || number == ENOTDIR ? .notFound : .internal,
            "opening \(path): \(String(errno: number))")
    }
    let file = OwnedDescriptor(raw)
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
        let count = read(file.raw, &buffer, buffer.count)
        if count < 0 {
            if errno == EINTR { continue }
            throw EngineError(.internal, "reading \(path): \(String(errno: errno))")
        }
        if count == 0 { return bytes }
        bytes.append(contentsOf: buffer[..<count])
        if bytes.count > limit {
            throw EngineError(.resourceExhausted, "\(path) is longer than \(limit) bytes")
        }
    }
}
