import AsyncHTTPClient
import Logging
import LinuxHost
import Model
import NIOCore
import NIOHTTP1
import NIOSSL
import Synchronization

/// Sends single requests: connection pool, TLS settings by host, bounds in time. Knows nothing of registries' rules.
final class WebTransport: Sendable {
    /// One for direct connections and one for each proxy.
    private let clients: [ProxySettings.Server?: HTTPClient]
    private let direct: HTTPClient
    private let settings: RegistrySettings
    private let tls = Mutex<[TLSKey: (configuration: TLSConfiguration, read: ContinuousClock.Instant)]>([:])
    /// Changed certificates are seen after this time.
    private static let certificateLifetime = Duration.seconds(10)

    private struct TLSKey: Hashable {
        var authority: String
        var insecure: Bool
    }

    /// A failure below HTTP, and whether the same request may succeed later.
    struct Failure: Error {
        var error: EngineError
        var isTransient: Bool
        var isTLS: Bool
    }

    init(settings: RegistrySettings) {
        self.settings = settings
        var configuration = HTTPClient.Configuration(
            redirectConfiguration: .disallow,
            timeout: .init(connect: settings.connectTimeout.timeAmount, read: settings.idleTimeout.timeAmount))
        configuration.timeout.write = settings.idleTimeout.timeAmount
        // Repetition is the caller's, who knows what may be repeated and tells the user why.
        configuration.connectionPool.retryConnectionEstablishment = false
        // Parallel transfers shall not share one connection's flow control.
        configuration.httpVersion = .http1Only
        configuration.decompression = .disabled
        direct = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        var clients: [ProxySettings.Server?: HTTPClient] = [nil: direct]
        for server in Set([settings.proxies.secure, settings.proxies.plain].compactMap { $0 }) {
            configuration.proxy = .server(host: server.host, port: server.port)
            clients[server] = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        }
        self.clients = clients
    }

    func shutdown() async throws {
        var failure: (any Error)?
        for client in clients.values {
            do {
                try await client.shutdown()
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
    }

    /// Sends one request and returns with the head of the answer.
    /// - Parameter deadline: bound on the whole exchange; nil for transfers whose length nobody knows.
    func send(
        _ method: HTTPMethod, _ location: WebLocation, headers: HTTPHeaders, body: HTTPClientRequest.Body?,
        insecure: Bool, deadline: Duration?
    ) async throws -> HTTPClientResponse {
        var request = HTTPClientRequest(url: location.description)
        request.method = method
        request.headers = headers
        request.headers.replaceOrAdd(name: "User-Agent", value: "isle")
        request.headers.replaceOrAdd(name: "Accept-Encoding", value: "identity")
        request.body = body
        if location.isSecure { request.tlsConfiguration = try configuration(location.authority, insecure) }
        let client = clients[settings.proxies.server(for: location)] ?? direct
        do {
            return try await client.execute(
                request, deadline: deadline.map { .now() + $0.timeAmount } ?? .distantFuture)
        } catch {
            throw try Self.failure(error, location)
        }
    }

    /// True when an administrator laid down certificates for the host, so that only verified TLS will do.
    func hasCertificates(for authority: String, insecure: Bool) throws -> Bool {
        try configuration(authority, insecure).additionalTrustRoots.isEmpty == false
    }

    private func configuration(_ authority: String, _ insecure: Bool) throws -> TLSConfiguration {
        let key = TLSKey(authority: authority, insecure: insecure)
        if let known = tls.withLock({ $0[key] }), known.read > .now - Self.certificateLifetime {
            return known.configuration
        }
        let name = authority == "registry-1.docker.io" ? "docker.io" : authority
        let made = try CertificateFolders(folders: settings.certificateFolders).configuration(
            for: RegistryEndpoint(registry: name, repository: "", insecure: insecure))
        tls.withLock { $0[key] = (made, .now) }
        return made
    }

    /// Says what went wrong in words about the peer. Throws a cancellation as such.
    static func failure(_ error: any Error, _ location: WebLocation) throws -> Failure {
        if error is CancellationError || Task.isCancelled { throw CancellationError() }
        if let known = error as? Failure { return known }
        if let known = error as? EngineError { return Failure(error: known, isTransient: false, isTLS: false) }
        let host = location.authority
        switch error {
        case let error as HTTPClientError
        where [.connectTimeout, .readTimeout, .writeTimeout, .deadlineExceeded, .tlsHandshakeTimeout].contains(error):
            return Failure(
                error: EngineError(.timeout, "\(host) did not answer in time", cause: error), isTransient: true,
                isTLS: error == .tlsHandshakeTimeout)
        case is BoringSSLError where CertificateAuthorities.bundle == nil:
            return Failure(
                error: EngineError(
                    .unavailable, "\(host) cannot be verified: this host trusts no certificate authorities",
                    hint: CertificateAuthorities.advice), isTransient: false, isTLS: false)
        case is NIOSSLError, is BoringSSLError, is NIOSSLExtraError:
            return Failure(
                error: EngineError(
                    .unavailable, "the TLS connection to \(host) failed",
                    hint:
                        "for a registry with a certificate of its own put its root into /etc/containers/certs.d/\(host)/ca.crt; for one without TLS set insecure in registries.conf",
                    cause: error), isTransient: false, isTLS: true)
        default:
            return Failure(
                error: EngineError(.unavailable, "the connection to \(host) failed", cause: error),
                isTransient: true, isTLS: false)
        }
    }
}

extension Duration {
    var timeAmount: TimeAmount {
        .nanoseconds(components.seconds * 1_000_000_000 + components.attoseconds / 1_000_000_000)
    }
}
