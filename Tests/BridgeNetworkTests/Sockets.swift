import Glibc
import Model
import Netlink

/// Small blocking sockets in network namespaces; a socket stays in the namespace it was made in.
struct TestSocket: Sendable {
    let descriptor: OwnedDescriptor

    init(_ kind: __socket_type, in namespace: OwnedDescriptor, v6: Bool = false, patience: Int = 60) throws {
        descriptor = try NetworkNamespace.run(in: namespace) {
            let raw = socket(v6 ? AF_INET6 : AF_INET, Int32(kind.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
            guard raw >= 0 else { throw NetlinkError(errno: errno, request: "make a socket") }
            var wait = timeval(tv_sec: patience, tv_usec: 0)
            for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
                setsockopt(raw, SOL_SOCKET, option, &wait, socklen_t(MemoryLayout<timeval>.size))
            }
            var on: Int32 = 1
            setsockopt(raw, SOL_SOCKET, SO_REUSEADDR, &on, 4)
            return OwnedDescriptor(raw)
        }
    }

    static func withAddress<R>(_ text: String, _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R {
        var v4 = sockaddr_in()
        var v6 = sockaddr_in6()
        if inet_pton(AF_INET, text, &v4.sin_addr) == 1 {
            v4.sin_family = sa_family_t(AF_INET)
            v4.sin_port = port.bigEndian
            return withUnsafePointer(to: &v4) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, 16) }
            }
        }
        inet_pton(AF_INET6, text, &v6.sin6_addr)
        v6.sin6_family = sa_family_t(AF_INET6)
        v6.sin6_port = port.bigEndian
        return withUnsafePointer(to: &v6) { $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, 28) } }
    }

    func bind(_ address: String, _ port: UInt16) -> Int32 {
        Self.withAddress(address, port) { Glibc.bind(descriptor.raw, $0, $1) == 0 ? 0 : errno }
    }

    func connect(_ address: String, _ port: UInt16) -> Int32 {
        Self.withAddress(address, port) { Glibc.connect(descriptor.raw, $0, $1) == 0 ? 0 : errno }
    }

    func send(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        return Glibc.send(descriptor.raw, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count
    }

    func receive() -> String? {
        var buffer = [UInt8](repeating: 0, count: 512)
        let count = recv(descriptor.raw, &buffer, buffer.count, 0)
        return count > 0 ? String(decoding: buffer[..<count], as: UTF8.self) : nil
    }
}

/// A TCP server that tells each client the address it comes from and then repeats what it says.
final class EchoServer: Sendable {
    private let listener: TestSocket

    init(in namespace: OwnedDescriptor, port: UInt16, v6: Bool = false) throws {
        listener = try TestSocket(SOCK_STREAM, in: namespace, v6: v6)
        let result = listener.bind(v6 ? "::" : "0.0.0.0", port)
        guard result == 0, listen(listener.descriptor.raw, 16) == 0 else {
            throw NetlinkError(errno: result, request: "listen")
        }
        let descriptor = listener.descriptor
        spawn { Self.serve(descriptor) }
    }

    deinit { shutdown(listener.descriptor.raw, Int32(SHUT_RDWR)) }

    private static func serve(_ listener: OwnedDescriptor) {
        while true {
            var storage = sockaddr_storage()
            var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
            let raw = withUnsafeMutablePointer(to: &storage) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { accept(listener.raw, $0, &length) }
            }
            if raw < 0 {
                if errno == EAGAIN { continue }
                return
            }
            let peer = withUnsafeBytes(of: storage) { bytes in
                storage.ss_family == sa_family_t(AF_INET)
                    ? IPAddress(bytes: bytes[4..<8]) : IPAddress(bytes: bytes[8..<24])
            }
            let hello = Array("\(peer.map { "\($0)" } ?? "?")".utf8)
            send(raw, hello, hello.count, Int32(MSG_NOSIGNAL))
            spawn {
                var buffer = [UInt8](repeating: 0, count: 512)
                while case let count = recv(raw, &buffer, 512, 0), count > 0 {
                    send(raw, buffer, count, Int32(MSG_NOSIGNAL))
                }
                close(raw)
            }
        }
    }
}

/// A detached thread: these servers block.
private func spawn(_ body: @escaping @Sendable () -> Void) {
    final class Box: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    var thread = pthread_t()
    pthread_create(
        &thread, nil,
        { raw in
            if let raw { Unmanaged<Box>.fromOpaque(raw).takeRetainedValue().body() }
            return nil
        }, Unmanaged.passRetained(Box(body)).toOpaque())
    pthread_detach(thread)
}

/// Connects from `namespace` and gives the address under which an `EchoServer` sees it; nil if there is no answer.
func hello(from namespace: OwnedDescriptor, _ address: String, _ port: UInt16, patience: Int = 60) throws -> String? {
    let socket = try TestSocket(SOCK_STREAM, in: namespace, v6: address.contains(":"), patience: patience)
    return socket.connect(address, port) == 0 ? socket.receive() : nil
}

/// The least of a DNS client (RFC 1035): one question, the first address of the answer.
enum DNS {
    static func query(_ name: String, server: String, in namespace: OwnedDescriptor) throws -> String? {
        let socket = try TestSocket(SOCK_DGRAM, in: namespace)
        guard socket.connect(server, 53) == 0 else { return nil }
        var packet: [UInt8] = [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]
        for label in name.split(separator: ".") { packet += [UInt8(label.utf8.count)] + Array(label.utf8) }
        packet += [0, 0, 1, 0, 1]
        guard send(socket.descriptor.raw, packet, packet.count, 0) == packet.count else { return nil }
        var answer = [UInt8](repeating: 0, count: 512)
        let count = recv(socket.descriptor.raw, &answer, 512, 0)
        // After the question comes the answer: name pointer (2), type (2), class (2), lifetime (4), length (2).
        let start = packet.count + 12
        guard count >= start + 4, answer[7] > 0 else { return nil }
        return IPAddress(bytes: answer[start..<(start + 4)])?.description
    }
}
