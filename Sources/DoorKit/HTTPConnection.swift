import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1
import NIOHTTPTypes
import Synchronization

/// One client's connection: requests are served one after the other, until one of them takes it over (101).
struct HTTPConnection: Sendable {
    typealias Parts = NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>

    let channel: Parts
    /// Over a unix socket who the client is; over TCP it is known after the handshake.
    let peer: Peer
    let tls: TLSServer?
    /// The request that is worked on, so that the end of the connection ends the waiting for its answer.
    private let inFlight = RequestInFlight()

    /// Bytes of an unread body that are worth reading to keep the connection.
    private static let skippedBody = 256 * 1024
    /// How long a client may take to close its side after the last answer.
    private static let lingering = TimeAmount.seconds(2)

    /// Builds the pipeline of an accepted channel.
    static func setUp(
        _ channel: any Channel, _ configuration: HTTPService.Configuration, _ tls: TLSServer?, _ logger: Logger
    ) -> EventLoopFuture<HTTPConnection> {
        channel.eventLoop.makeCompletedFuture {
            var limits = NIOHTTPDecoderLimitConfiguration()
            limits.maxHeaderFieldSize = configuration.headerFieldSize
            limits.maxHeaderListSize = configuration.headerSize
            limits.maxHeaderFieldCount = configuration.headerCount
            let pipeline = channel.pipeline.syncOperations
            try tls?.install(pipeline)
            try UpgradeHandler(limits: limits, secure: tls != nil).install(pipeline)
            try pipeline.addHandler(
                HTTPConnectionStateHandler(idleTimeout: configuration.idleTimeout, logger: logger))
            return try Parts(
                wrappingChannelSynchronously: channel, configuration: .init(isOutboundHalfClosureEnabled: true))
        }.flatMap { parts in
            Peer.of(channel).map { HTTPConnection(channel: parts, peer: $0, tls: tls) }
        }
    }

    /// Serves until the connection ends. Failures of the connection end it; they are nobody's error.
    func serve(_ responder: @escaping HTTPService.Responder, _ badRequest: HTTPService.BadRequest, _ logger: Logger)
        async
    {
        channel.channel.closeFuture.whenComplete { [inFlight] _ in inFlight.abandon() }
        do {
            try await channel.executeThenClose { inbound, outbound in
                let parts = InboundParts(inbound.makeAsyncIterator())
                var identified: Peer?
                do {
                    while case .head(let head)? = try await parts.next() {
                        if identified == nil, let tls {
                            // The handshake is over with the first request, and a connection has one.
                            identified = try await tls.peer(of: channel.channel)
                        }
                        let peer = identified ?? peer
                        guard try await answer(head, from: peer, parts, outbound, responder, logger) else { break }
                    }
                } catch let error where error is HTTPParserError || error is ByteToMessageDecoderError {
                    var response = badRequest("the request is not HTTP/1.1: \(error)")
                    response.headers[.connection] = "close"
                    try await ResponseWriter(outbound: outbound).write(response: response.head, body: response.body)
                }
                outbound.finish()
                let channel = channel.channel
                let deadline = channel.eventLoop.scheduleTask(in: Self.lingering) { channel.close(promise: nil) }
                defer { deadline.cancel() }
                while let _ = try await parts.next() {}
            }
        } catch {
            logger.trace("connection ended", metadata: ["error": "\(error)"])
        }
    }

    /// Serves one request; false if it is the connection's last.
    private func answer(
        _ head: HTTPRequest, from peer: Peer, _ parts: InboundParts,
        _ outbound: NIOAsyncChannelOutboundWriter<HTTPResponsePart>, _ responder: @escaping HTTPService.Responder,
        _ logger: Logger
    ) async throws -> Bool {
        let fields = head.headerFields
        let hasBody = fields[.contentLength].map { $0 != "0" } ?? fields.contains(.transferEncoding)
        if fields[.expect]?.lowercased() == "100-continue" {
            try await outbound.write(.head(HTTPResponse(status: .continue)))
        }
        let request = Request(
            head: head,
            body: hasBody ? RequestBody(asyncSequence: BodyBytes(parts: parts)) : RequestBody(buffer: ByteBuffer()))
        let context = DoorContext(source: .init(channel: channel.channel, logger: logger), peer: peer)
        // In a task of its own: a route that waits for something for ever must not keep a stopping server from its end.
        let answer = inFlight.begin()
        let work = Task { answer.set(await responder(request, context)) }
        guard var response = await answer.wait() ?? nil else {
            // What changes something is finished; nobody is interested in the rest any more.
            if head.method == .get || head.method == .head { work.cancel() }
            throw ChannelError.alreadyClosed
        }

        if let upgrade = context.upgrade.take(), response.status == .switchingProtocols {
            guard try await parts.skipBody(limit: Self.skippedBody) else { return false }
            try await outbound.write(.head(response.head))
            try await upgrade(UpgradedStream(parts: parts, outbound: outbound))
            return false
        }
        // A client that asked for an upgrade may already speak something else.
        var isLast = fields[.connection]?.lowercased() == "close" || fields.contains(.upgrade)
        // The rest of a body that the route did not want, unless there is much of it.
        if !parts.requestEnded, try await !parts.skipBody(limit: Self.skippedBody) { isLast = true }
        if isLast { response.headers[.connection] = "close" }
        if head.method == .head { response = response.createHeadResponse() }
        try await ResponseWriter(outbound: outbound).write(response: response.head, body: response.body)
        return !isLast
    }
}

/// Where the answer to a connection's request arrives, or the news that the connection is gone.
private final class RequestInFlight: Sendable {
    private struct State {
        var isGone = false
        var answer: Latch<Response?>?
    }

    private let state = Mutex(State())

    func begin() -> Latch<Response?> {
        let answer = Latch<Response?>()
        let isGone = state.withLock { state in
            state.answer = answer
            return state.isGone
        }
        if isGone { answer.set(nil) }
        return answer
    }

    func abandon() {
        let answer = state.withLock { state in
            state.isGone = true
            return state.answer
        }
        answer?.set(nil)
    }
}
