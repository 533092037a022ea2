import CHost
import Glibc
import LinuxHost
import Model
import ShimCore

/// One connection to a shim's control socket.
struct ShimSocket: Sendable {
    let descriptor: OwnedDescriptor

    /// Nil: nobody listens there.
    init?(directory: OwnedDescriptor, path: String) throws {
        let result = isle_seqpacket_connect(directory.raw, "shim.sock")
        switch result {
        case 0...: descriptor = OwnedDescriptor(result)
        case -ENOENT, -ECONNREFUSED, -ECONNRESET: return nil
        default: throw EngineError(.unavailable, "connecting to \(path)/shim.sock: \(String(errno: -result))")
        }
    }

    func send(_ request: ShimRequest, _ descriptors: [OwnedDescriptor] = []) async throws {
        let bytes = request.encoded()
        let raw = descriptors.map(\.raw)
        while true {
            let result = isle_send(descriptor.raw, bytes, bytes.count, raw, Int32(raw.count))
            switch result {
            case 0:
                withExtendedLifetime(descriptors) {}
                return
            case -EAGAIN: try await DescriptorEvents.writable(descriptor)
            case -EPIPE, -ECONNRESET: throw ShimGone()
            default: throw EngineError(.internal, "asking a shim: \(String(errno: -result))")
            }
        }
    }

    /// Waits for the next reply.
    /// - Throws: `ShimGone` if the shim ended instead, the shim's own failure as an `EngineError`.
    func receive() async throws -> (ShimReply, [OwnedDescriptor]) {
        var buffer = [UInt8](repeating: 0, count: 32 << 10)
        var raw = [Int32](repeating: -1, count: Int(ISLE_MAX_FDS))
        while true {
            var count: Int32 = 0
            let size = isle_receive(descriptor.raw, &buffer, buffer.count, &raw, &count)
            let descriptors = raw.prefix(Int(count)).map { OwnedDescriptor($0) }
            if size == -Int(EAGAIN) {
                try await DescriptorEvents.readable(descriptor)
                continue
            }
            if size == 0 || size == -Int(ECONNRESET) { throw ShimGone() }
            guard size > 0 else { throw EngineError(.internal, "a shim's answer: \(String(errno: Int32(-size)))") }
            guard let reply = try? ShimReply(decoding: Array(buffer[..<size])) else {
                throw EngineError(.internal, "a shim's answer of \(size) bytes is not understood")
            }
            if case .failed(let failure) = reply { throw failure.engineError }
            return (reply, descriptors)
        }
    }
}

/// The shim ended before it answered.
struct ShimGone: Error {}
