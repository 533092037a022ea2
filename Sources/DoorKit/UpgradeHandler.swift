import HTTPTypes
import NIOCore
import NIOHTTP1
import NIOHTTPTypes
import NIOHTTPTypesHTTP1

/// Lets a connection leave HTTP: when the head of a 101 answer has gone out, the HTTP codecs are taken out of the
/// pipeline, and bytes travel as body parts in both directions from then on.
///
/// It sits behind the codecs and in front of everything that speaks in parts. Bytes that the client sent early are
/// still in the decoder and come out as the first body part.
final class UpgradeHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = ByteBuffer

    private let encoder = HTTPResponseEncoder()
    private let decoder: ByteToMessageHandler<HTTPRequestDecoder>
    private let codec: HTTP1ToHTTPServerCodec
    private var speaksHTTP = true

    init(limits: NIOHTTPDecoderLimitConfiguration, secure: Bool) {
        // The bound holds for what the decoder cannot use yet: an unfinished head, or bytes before the 101.
        decoder = ByteToMessageHandler(
            HTTPRequestDecoder(leftOverBytesStrategy: .forwardBytes, limitConfiguration: limits),
            maximumBufferSize: limits.maxHeaderListSize + 65_536)
        codec = HTTP1ToHTTPServerCodec(secure: secure)
    }

    /// Puts the codecs and then itself at the end of the pipeline.
    func install(_ pipeline: ChannelPipeline.SynchronousOperations) throws {
        try pipeline.addHandlers([encoder, decoder, codec, self])
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !speaksHTTP else { return context.fireChannelRead(data) }
        context.fireChannelRead(wrapInboundOut(.body(unwrapInboundIn(data))))
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch (speaksHTTP, unwrapOutboundIn(data)) {
        case (true, .head(let head)) where head.status == .switchingProtocols:
            context.writeAndFlush(data, promise: promise)
            leaveHTTP(context)
        case (true, _):
            context.write(data, promise: promise)
        case (false, .body(let bytes)):
            context.write(wrapOutboundOut(bytes), promise: promise)
        case (false, _):
            promise?.succeed()
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        // An upgraded connection has no end of its own that a stopping server could wait for.
        if event is ChannelShouldQuiesceEvent, !speaksHTTP { return context.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }

    private func leaveHTTP(_ context: ChannelHandlerContext) {
        speaksHTTP = false
        let pipeline = context.pipeline.syncOperations
        // The decoder last: what it has left over then comes straight here, without an end of the read to tell so.
        pipeline.removeHandler(codec, promise: nil)
        pipeline.removeHandler(encoder, promise: nil)
        pipeline.removeHandler(decoder).assumeIsolated().whenComplete { _ in context.fireChannelReadComplete() }
    }
}
