import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import OCI
import Synchronization

/// A server that answers as the test says: for what a real registry does not do on request.
final class FaultyRegistry: Sendable {
    struct Request: Sendable {
        var method: HTTPMethod
        var uri: String
        var headers: HTTPHeaders
        var body: [UInt8]
        var path: String { String(uri.prefix { $0 != "?" }) }
    }

    struct Answer: Sendable {
        var status: HTTPResponseStatus = .ok
        var headers: HTTPHeaders = [:]
        var body: [UInt8] = []
        /// The connection is cut after so many bytes of the body.
        var cutAfter: Int?
        /// Nothing more is sent after so many bytes of the body.
        var stallAfter: Int?
    }

    typealias Handler = @Sendable (Request) -> Answer

    let port: Int
    private let channel: any Channel
    private let box: Box

    var authority: String { "127.0.0.1:\(port)" }
    func reference(_ path: String = "x:1") throws -> ImageReference {
        try ImageReference(parsing: "\(authority)/\(path)")
    }

    static func start(_ handler: @escaping Handler) async throws -> FaultyRegistry {
        let log = Box()
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(
                        Responder { request in
                            log.add(request)
                            return handler(request)
                        })
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return FaultyRegistry(channel: channel, log: log)
    }

    private final class Box: Sendable {
        let requests = Mutex<[Request]>([])
        func add(_ request: Request) { requests.withLock { $0.append(request) } }
    }

    private init(channel: any Channel, log: Box) {
        self.channel = channel
        box = log
        port = channel.localAddress?.port ?? 0
    }

    func stop() async throws { try await channel.close() }

    func received(_ method: HTTPMethod? = nil, _ part: String = "") -> [Request] {
        box.requests.withLock { $0 }.filter {
            (method == nil || $0.method == method) && (part.isEmpty || $0.uri.contains(part))
        }
    }

    private final class Responder: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart
        private let handler: Handler
        private var request = Request(method: .GET, uri: "", headers: [:], body: [])

        init(_ handler: @escaping Handler) { self.handler = handler }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head): request = Request(method: head.method, uri: head.uri, headers: head.headers, body: [])
            case .body(let part): request.body.append(contentsOf: part.readableBytesView)
            case .end: respond(handler(request), context)
            }
        }

        private func respond(_ answer: Answer, _ context: ChannelHandlerContext) {
            var headers = answer.headers
            if !headers.contains(name: "Content-Length") {
                headers.add(name: "Content-Length", value: "\(answer.body.count)")
            }
            let head = HTTPResponseHead(version: .http1_1, status: answer.status, headers: headers)
            context.write(wrapOutboundOut(.head(head)), promise: nil)
            let limit = answer.cutAfter ?? answer.stallAfter
            if request.method != .HEAD {
                let body = limit.map { Array(answer.body.prefix($0)) } ?? answer.body
                context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: body)))), promise: nil)
            }
            if answer.cutAfter != nil {
                context.flush()
                context.close(promise: nil)
            } else if answer.stallAfter != nil {
                context.flush()
            } else {
                context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
            }
        }
    }
}
