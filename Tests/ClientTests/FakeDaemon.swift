import CHost
import Glibc
import Synchronization

/// A server on a unix socket of its own that says what a test tells it to, byte for byte. One thread for each
/// connection; everything goes with `stop`.
final class FakeDaemon: Sendable {
    let path: String
    private let listener: Int32
    private let state = Mutex<[Int32]>([])

    /// What a test does with one connection.
    typealias Script = @Sendable (Peer) throws -> Void

    init(_ script: @escaping Script) throws {
        path = "/tmp/isle-client-test-\(getpid())-\(UInt32.random(in: .min ... .max)).sock"
        let opened = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        listener = opened
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(opened, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard bound == 0, listen(opened, 64) == 0 else { throw Failed("listen: errno \(errno)") }
        Threads.run { [self] in
            while true {
                let descriptor = accept(opened, nil, nil)
                if descriptor < 0 {
                    // Closed by the one who uses it: another test's socket may get the number.
                    close(opened)
                    return
                }
                state.withLock { $0.append(descriptor) }
                Threads.run {
                    let peer = Peer(descriptor)
                    // A client that leaves in the middle is what some tests are about.
                    try? script(peer)
                    shutdown(descriptor, Int32(SHUT_RDWR))
                }
            }
        }
    }

    /// Closes the listener and every connection.
    func stop() {
        shutdown(listener, Int32(SHUT_RDWR))
        unlink(path)
        state.withLock { descriptors in
            for descriptor in descriptors { shutdown(descriptor, Int32(SHUT_RDWR)) }
        }
    }

    struct Failed: Error {
        let reason: String
        init(_ reason: String) { self.reason = reason }
    }
}

/// The server's end of one connection.
final class Peer: @unchecked Sendable {
    let descriptor: Int32
    private var buffer: [UInt8] = []

    init(_ descriptor: Int32) { self.descriptor = descriptor }

    struct Request {
        var method: String
        var target: String
        var headers: [String: String]
        var body: [UInt8]
        var path: String { String(target.prefix { $0 != "?" }) }
    }

    private func fill() throws {
        var chunk = [UInt8](repeating: 0, count: 65536)
        let got = recv(descriptor, &chunk, chunk.count, 0)
        guard got > 0 else { throw FakeDaemon.Failed("end") }
        buffer += chunk[..<got]
    }

    func take(_ count: Int) throws -> [UInt8] {
        while buffer.count < count { try fill() }
        defer { buffer.removeFirst(count) }
        return Array(buffer[..<count])
    }

    private func line() throws -> String {
        while true {
            if let end = buffer.firstIndex(of: 10) {
                let text = String(decoding: buffer[..<end], as: UTF8.self)
                buffer.removeFirst(end + 1)
                return text.hasSuffix("\r") ? String(text.dropLast()) : text
            }
            try fill()
        }
    }

    /// The next request, its body read whole.
    func request() throws -> Request {
        let first = try line().split(separator: " ")
        var headers: [String: String] = [:]
        while true {
            let text = try line()
            if text.isEmpty { break }
            let colon = text.firstIndex(of: ":") ?? text.endIndex
            headers[text[..<colon].lowercased()] = String(text[colon...].dropFirst(2))
        }
        var body: [UInt8] = []
        if let length = headers["content-length"].flatMap(Int.init) {
            body = try take(length)
        } else if headers["transfer-encoding"] == "chunked" {
            while let size = Int(try line(), radix: 16), size > 0 {
                body += try take(size)
                _ = try line()
            }
            _ = try line()
        }
        return Request(method: String(first[0]), target: String(first[1]), headers: headers, body: body)
    }

    func write(_ bytes: [UInt8]) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard count > 0 else { throw FakeDaemon.Failed("gone") }
            rest = rest.dropFirst(count)
        }
    }

    func write(_ text: String) throws { try write(Array(text.utf8)) }

    /// A whole answer with a length.
    func answer(_ status: Int, _ body: String) throws {
        try write(
            "HTTP/1.1 \(status) X\r\nContent-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
        )
    }

    /// A sync answer of LXD's shape.
    func sync(_ metadata: String) throws {
        try answer(
            200,
            #"{"type":"sync","status":"Success","status_code":200,"operation":"","error_code":0,"error":"","metadata":\#(metadata)}"#
        )
    }

    /// An async answer of LXD's shape.
    func async(_ id: String, metadata: String = "null") throws {
        try answer(
            202,
            #"{"type":"async","status":"Operation created","status_code":100,"operation":"/1.0/operations/\#(id)","error_code":0,"error":"","metadata":\#(Self.operation(id, 103, metadata))}"#
        )
    }

    static func operation(_ id: String, _ code: Int, _ metadata: String = "null", err: String = "", more: String = "")
        -> String
    {
        #"{"id":"\#(id)","class":"task","description":"doing it","status":"x","status_code":\#(code),"metadata":\#(metadata),"may_cancel":true,"err":"\#(err)"\#(more)}"#
    }
}

/// Threads that nobody joins: each ends with its socket.
enum Threads {
    private final class Box {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    static func run(_ body: @escaping @Sendable () -> Void) {
        var thread = pthread_t()
        let box = Unmanaged.passRetained(Box(body)).toOpaque()
        pthread_create(
            &thread, nil,
            { argument in
                if let argument { Unmanaged<Box>.fromOpaque(argument).takeRetainedValue().body() }
                return nil
            }, box)
        pthread_detach(thread)
    }
}
