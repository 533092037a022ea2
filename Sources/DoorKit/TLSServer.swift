import FoundationEssentials
import Model
import NIOCore
import NIOSSL
import NIOTLS

/// The server's side of TLS (1.2 and 1.3) with certificates on both sides.
///
/// A client is asked for a certificate and may show none. Any that it can prove to hold the key of is let through,
/// self-signed ones and expired ones too: whether to trust it is for the routes to say, by its fingerprint.
public struct TLSServer: Sendable {
    /// Names a certificate by its DER form.
    public typealias Fingerprint = @Sendable ([UInt8]) -> String

    private let context: NIOSSLContext
    private let fingerprint: Fingerprint

    /// How long a client may take for the handshake.
    static let handshakeTime = TimeAmount.seconds(10)

    /// - Parameters:
    ///   - chain: PEM of the certificate, then of those that lead to its issuer.
    ///   - key: PEM.
    /// - Throws: `invalidArgument` when they cannot be used, as when they do not belong together.
    public init(chain: String, key: String, fingerprint: @escaping Fingerprint) throws {
        do {
            let certificates = try NIOSSLCertificate.fromPEMBytes(Array(chain.utf8))
            var configuration = TLSConfiguration.makeServerConfiguration(
                certificateChain: certificates.map { .certificate($0) },
                privateKey: .privateKey(try NIOSSLPrivateKey(bytes: Array(key.utf8), format: .pem)))
            configuration.minimumTLSVersion = .tlsv12
            configuration.certificateVerification = .optionalVerification
            // Nobody is trusted for an authority's sake, and a host may have no authorities.
            configuration.trustRoots = .certificates([])
            configuration.applicationProtocols = ["http/1.1"]
            context = try NIOSSLContext(configuration: configuration)
        } catch {
            throw EngineError(
                .invalidArgument, "the server's certificate cannot be used",
                hint: "remove server.crt and server.key from the state folder: new ones are made", cause: error)
        }
        self.fingerprint = fingerprint
    }

    /// Puts TLS at the front of the pipeline.
    func install(_ pipeline: ChannelPipeline.SynchronousOperations) throws {
        let handler = NIOSSLServerHandler(context: context) { _, promise in promise.succeed(.certificateVerified) }
        try pipeline.addHandlers([handler, HandshakeDeadline()])
    }

    /// Who is at the other end; after the handshake.
    func peer(of channel: any Channel) async throws -> Peer {
        var peer = Peer(credentials: nil, address: channel.remoteAddress?.ipAddress ?? "")
        if let found = try await channel.nioSSL_peerCertificate().get() {
            let der = try found.toDERBytes()
            peer.certificate = Peer.Certificate(
                fingerprint: fingerprint(der), der: der, notBefore: Double(found.notValidBefore),
                notAfter: Double(found.notValidAfter))
        }
        return peer
    }
}

/// Ends a connection whose handshake takes too long: before it there is no request whose bounds could end it.
private final class HandshakeDeadline: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    private var deadline: Scheduled<Void>?

    func handlerAdded(context: ChannelHandlerContext) {
        let channel = context.channel
        deadline = context.eventLoop.scheduleTask(in: TLSServer.handshakeTime) { channel.close(promise: nil) }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted? = event as? TLSUserEvent { deadline?.cancel() }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        deadline?.cancel()
        context.fireChannelInactive()
    }

    /// A broken handshake, or a client that ends without TLS's closing, is the client's affair.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.fireErrorCaught(error)
        if error is NIOSSLError { context.close(promise: nil) }
    }
}
