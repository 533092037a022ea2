import Glibc
import LinuxHost
import Model
import QMP

/// Listens on a unix socket and plays QEMU for one connection.
final class FakePeer: Sendable {
    let path: String
    private let listener: OwnedDescriptor

    init() throws {
        path = "/tmp/isle-qmp-\(getpid())-\(UInt32.random(in: 0...UInt32.max)).sock"
        listener = OwnedDescriptor(socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0))
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener.raw, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0, listen(listener.raw, 4) == 0 else {
            throw EngineError(.internal, "no listening socket: \(errno)")
        }
    }

    deinit { unlink(path) }

    func accept() async throws -> UnixStream {
        try await DescriptorEvents.readable(listener)
        let descriptor = Glibc.accept(listener.raw, nil, nil)
        guard descriptor >= 0 else { throw EngineError(.internal, "accept: \(errno)") }
        return UnixStream(OwnedDescriptor(descriptor))
    }
}

extension UnixStream {
    func say(_ line: String) { send(Array((line + "\r\n").utf8)) }

    /// One line, as the client sends them.
    func hear() async throws -> String {
        var text: [UInt8] = []
        while text.last != 10 {
            let bytes = try await read(limit: 1)
            if bytes.isEmpty { throw EngineError(.unavailable, "the client is gone") }
            text += bytes
        }
        return String(decoding: text.dropLast(), as: UTF8.self)
    }

    /// Greeting and negotiation.
    func greet() async throws {
        say(#"{"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}}, "capabilities": ["oob"]}}"#)
        let line = try await hear()
        guard line == #"{"execute":"qmp_capabilities","id":1}"# else {
            throw EngineError(.internal, "unexpected: \(line)")
        }
        say(#"{"return": {}, "id": 1}"#)
    }
}
