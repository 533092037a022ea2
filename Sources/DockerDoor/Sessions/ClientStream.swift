import DoorKit
import HTTPTypes
import Hummingbird
import HummingbirdCore
import NIOCore

/// A client's side of attached streams, whatever carries it.
struct ClientStream: Sendable {
    /// The next bytes of standard input; nil at their end. Nil itself where the client cannot send.
    var read: (@Sendable () async throws -> ByteBuffer?)?
    /// Sends buffers one after the other, nothing in between.
    var write: @Sendable (ByteBuffer, ByteBuffer?) async throws -> Void
}

/// Answers that hand the connection over.
enum Hijack {
    static let raw = "application/vnd.docker.raw-stream"
    static let multiplexed = "application/vnd.docker.multiplexed-stream"

    /// The type of the stream: without a terminal output and error are told apart by frames.
    static func type(_ call: DockerCall, terminal: Bool) -> String {
        terminal || call.version.minor < 42 ? raw : multiplexed
    }

    /// The 101 answer where the client asked for one, else 200 with output alone.
    static func answer(
        _ call: DockerCall, terminal: Bool, _ body: @escaping @Sendable (ClientStream) async throws -> Void
    ) -> Response {
        let type = type(call, terminal: terminal)
        guard call.wantsUpgrade else {
            return DockerReply.stream(call, type) { writer in
                try await body(
                    ClientStream(
                        read: nil,
                        write: { first, second in
                            try await writer.write(first)
                            if let second { try await writer.write(second) }
                        }))
            }
        }
        call.context.upgrade.put { stream in
            try await body(
                ClientStream(
                    read: { try await stream.read() },
                    write: { first, second in
                        if let second { try await stream.write(first, second) } else { try await stream.write(first) }
                    }))
            stream.finish()
        }
        return Response(
            status: .switchingProtocols, headers: [.contentType: type, .connection: "Upgrade", .upgrade: "tcp"])
    }
}

/// Docker's frames around pieces of output: one byte for the stream, three of nothing, four of length (big-endian).
enum OutputFrame {
    static let output: UInt8 = 1
    static let error: UInt8 = 2

    static func head(_ stream: UInt8, length: Int) -> ByteBuffer {
        var head = ByteBufferAllocator().buffer(capacity: 8)
        head.writeInteger(stream)
        head.writeRepeatingByte(0, count: 3)
        head.writeInteger(UInt32(length))
        return head
    }
}
