import CHost
import Glibc
import LinuxHost
import Model

/// A client that sends and reads bytes as they are, over a unix socket.
final class RawClient: Sendable {
    let descriptor: OwnedDescriptor

    init(_ path: String) throws {
        descriptor = OwnedDescriptor(socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0))
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
        let result = withUnsafeBytes(of: &address) { raw in
            connect(
                descriptor.raw, raw.baseAddress?.assumingMemoryBound(to: sockaddr.self), socklen_t(raw.count))
        }
        guard result == 0 else { throw EngineError(.unavailable, "connect \(path): \(String(errno: errno))") }
        // A test that waits for what never comes fails instead of hanging.
        // Against a test that hangs, not a promise: a machine full of work lets a request wait for long.
        var bound = timeval(tv_sec: 120, tv_usec: 0)
        setsockopt(descriptor.raw, SOL_SOCKET, SO_RCVTIMEO, &bound, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor.raw, SOL_SOCKET, SO_SNDTIMEO, &bound, socklen_t(MemoryLayout<timeval>.size))
    }

    func send(_ text: String) async throws { try await send(Array(text.utf8)) }

    func send(_ bytes: [UInt8]) async throws {
        try await runBlocking { [descriptor] in
            var rest = bytes[...]
            while !rest.isEmpty {
                let count = rest.withUnsafeBytes {
                    Glibc.send(descriptor.raw, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
                }
                guard count > 0 else { throw EngineError(.unavailable, "send: \(String(errno: errno))") }
                rest = rest.dropFirst(count)
            }
        }
    }

    /// What comes next; empty at the end. Throws after ten silent seconds.
    func receive(_ limit: Int = 65_536) async throws -> [UInt8] {
        try await runBlocking { [descriptor] in
            var buffer = [UInt8](repeating: 0, count: limit)
            let count = recv(descriptor.raw, &buffer, limit, 0)
            if count < 0, errno == ECONNRESET { return [] }
            guard count >= 0 else { throw EngineError(.timeout, "recv: \(String(errno: errno))") }
            return Array(buffer[..<count])
        }
    }

    /// Everything up to the end of the connection.
    func rest() async throws -> String {
        var all: [UInt8] = []
        while true {
            let bytes = try await receive()
            if bytes.isEmpty { return String(decoding: all, as: UTF8.self) }
            all += bytes
        }
    }

    func read(exactly count: Int) async throws -> [UInt8] {
        var all: [UInt8] = []
        while all.count < count {
            let bytes = try await receive(count - all.count)
            guard !bytes.isEmpty else {
                throw EngineError(.unavailable, "the connection ended after \(all.count) bytes")
            }
            all += bytes
        }
        return all
    }

    /// A response's head.
    func head() async throws -> String {
        var text: [UInt8] = []
        while !text.suffix(4).elementsEqual(Array("\r\n\r\n".utf8)) { text += try await read(exactly: 1) }
        return String(decoding: text, as: UTF8.self)
    }

    /// A response with a content length.
    func response() async throws -> (head: String, body: String) {
        let head = try await head()
        let length = head.lowercased().split(separator: "\r\n").first { $0.hasPrefix("content-length: ") }
        let count = length.flatMap { Int($0.dropFirst(16)) } ?? 0
        return (head, String(decoding: try await read(exactly: count), as: UTF8.self))
    }

    func shutdownOutput() { _ = shutdown(descriptor.raw, Int32(SHUT_WR)) }

    // MARK: websocket

    /// Asks for a websocket at `path`; the status line.
    func upgrade(_ path: String) async throws -> String {
        try await send(
            "GET \(path) HTTP/1.1\r\nHost: isle\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        return try await head()
    }

    func sendFrame(_ opcode: UInt8, _ payload: [UInt8], final: Bool = true) async throws {
        try await send(Self.frame(opcode, payload, final: final))
    }

    static func frame(_ opcode: UInt8, _ payload: [UInt8], final: Bool = true) -> [UInt8] {
        var bytes: [UInt8] = [(final ? 0x80 : 0) | opcode]
        switch payload.count {
        case ..<126: bytes.append(0x80 | UInt8(payload.count))
        case ..<65_536: bytes += [0x80 | 126, UInt8(payload.count >> 8), UInt8(payload.count & 255)]
        default: bytes += [0x80 | 127] + (0..<8).map { UInt8(truncatingIfNeeded: payload.count >> (56 - 8 * $0)) }
        }
        let mask: [UInt8] = [0x12, 0xa4, 0x5f, 0x01]
        return bytes + mask + payload.enumerated().map { $1 ^ mask[$0 & 3] }
    }

    func receiveFrame() async throws -> (opcode: UInt8, payload: [UInt8]) {
        let head = try await read(exactly: 2)
        var length = Int(head[1] & 0x7f)
        if length == 126 { length = try await read(exactly: 2).reduce(0) { $0 << 8 | Int($1) } }
        if length == 127 { length = try await read(exactly: 8).reduce(0) { $0 << 8 | Int($1) } }
        return (head[0] & 0x0f, try await read(exactly: length))
    }
}

/// An empty folder that is removed with its content.
final class TemporaryFolder: Sendable {
    let path: String

    init() throws {
        var template = Array("/tmp/isle-door-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw EngineError(.internal, "mkdtemp: \(String(errno: errno))") }
        path = template.withUnsafeBufferPointer {
            String(decoding: $0.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }
    }

    deinit {
        guard let folder = opendir(path) else { return }
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { unlink("\(path)/\(name)") }
        }
        closedir(folder)
        rmdir(path)
    }
}
