import NIOCore
import NIOPosix
import Synchronization

/// An HTTP proxy that knows CONNECT and leads every connection to one port of this machine; other ports than 80 are
/// refused.
final class ConnectProxy: Sendable {
    let port: Int
    private let channel: any Channel
    private let asked: Box

    var targets: [String] { asked.targets.withLock { $0 } }

    final class Box: Sendable { let targets = Mutex<[String]>([]) }

    static func start(to target: Int) async throws -> ConnectProxy {
        let box = Box()
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Greeter(target: target, asked: box))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return ConnectProxy(channel: channel, asked: box)
    }

    private init(channel: any Channel, asked: Box) {
        self.channel = channel
        self.asked = asked
        port = channel.localAddress?.port ?? 0
    }

    func stop() async throws { try await channel.close() }

    /// Reads the CONNECT request and passes on what follows.
    private final class Greeter: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer
        private let target: Int
        private let asked: Box
        private var head = ""
        private var peer: (any Channel)?

        init(target: Int, asked: Box) {
            self.target = target
            self.asked = asked
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let buffer = unwrapInboundIn(data)
            if let peer {
                peer.writeAndFlush(buffer, promise: nil)
                return
            }
            head += String(buffer: buffer)
            guard head.hasSuffix("\r\n\r\n") else { return }
            let name = head.split(separator: " ").dropFirst().first.map(String.init) ?? ""
            asked.targets.withLock { $0.append(name) }
            guard name.hasSuffix(":80") else {
                let answer = ByteBuffer(string: "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
                context.writeAndFlush(wrapOutboundOut(answer), promise: nil)
                return
            }
            let client = context.channel
            let greeter = NIOLoopBound(self, eventLoop: context.eventLoop)
            ClientBootstrap(group: context.eventLoop)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(Back(client: client))
                    }
                }
                .connect(host: "127.0.0.1", port: target).whenSuccess { peer in
                    greeter.value.peer = peer
                    client.writeAndFlush(ByteBuffer(string: "HTTP/1.1 200 OK\r\n\r\n"), promise: nil)
                }
        }

        func channelInactive(context: ChannelHandlerContext) { peer?.close(promise: nil) }
    }

    /// Passes the server's bytes back.
    private final class Back: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private let client: any Channel

        init(client: any Channel) { self.client = client }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            client.writeAndFlush(unwrapInboundIn(data), promise: nil)
        }

        func channelInactive(context: ChannelHandlerContext) { client.close(promise: nil) }
    }
}
