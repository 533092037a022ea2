import AsyncHTTPClient
import Model
import NIOCore
import NIOHTTP1
import Synchronization

/// Talks to one repository at one endpoint: log-in, redirects, repetition.
///
/// The Authorization header goes to the registry's own origin only, never along a redirect to another one.
struct RepositorySession: Sendable {
    var endpoint: RegistryEndpoint
    var credentials: RegistryCredentials?
    var shared: SharedConnections

    /// What all sessions of a client have together.
    final class SharedConnections: Sendable {
        let transport: WebTransport
        let settings: RegistrySettings
        let tokens = TokenCache()
        /// Whether an insecure registry speaks TLS, as it was found within the last minute.
        let speaksTLS = Mutex<[String: (answer: Bool, found: ContinuousClock.Instant)]>([:])

        init(settings: RegistrySettings) {
            self.settings = settings
            transport = WebTransport(settings: settings)
        }
    }

    func scope(_ actions: String) -> String { "repository:\(endpoint.repository):\(actions)" }

    /// Sends the request until there is an answer that a repetition would not change.
    func perform(_ request: RegistryRequest) async throws -> RegistryAnswer {
        let policy = shared.settings.retries
        var attempt = 1
        while true {
            let pause: Duration
            do {
                let answer = try await authorized(request)
                guard RetryPolicy.isTransient(answer.status),
                    case .again(let wait) = policy.decide(after: attempt, retryAfter: answer.retryAfter)
                else { return answer }
                await answer.discard()
                pause = wait
            } catch let failure as WebTransport.Failure {
                guard failure.isTransient, case .again(let wait) = policy.decide(after: attempt, retryAfter: nil)
                else { throw failure.error }
                pause = wait
            }
            try await RetryPolicy.sleep(pause)
            attempt += 1
        }
    }

    private func authorized(_ request: RegistryRequest) async throws -> RegistryAnswer {
        let base = try await base()
        let location: WebLocation =
            switch request.target {
            case .root: base
            case .repository(let path):
                WebLocation(
                    isSecure: base.isSecure, authority: base.authority,
                    target: base.target + endpoint.repository + "/" + path)
            case .location(let location): location
            }
        let key = TokenCache.Key(
            authority: base.authority, scopes: request.scopes, username: credentials?.username,
            password: credentials?.password)
        let known = shared.tokens.header(key)
        let first = try await follow(request, location, base: base, authorization: known)
        guard first.status == 401, first.location.isSameOrigin(as: base) else { return first }
        guard let header = try await renewedHeader(first, key, refused: known, base: base) else { return first }
        await first.discard()
        let second = try await follow(request, location, base: base, authorization: header)
        if second.status == 401 { shared.tokens.forget(header, for: key) }
        return second
    }

    /// The header that meets the challenges of `refusal`: what another request was given since `refused` was sent, or a
    /// new one; nil if there is nothing that was not refused already.
    private func renewedHeader(
        _ refusal: RegistryAnswer, _ key: TokenCache.Key, refused: String?, base: WebLocation
    ) async throws -> String? {
        try await shared.tokens.renewal.withLock(key) {
            if let other = shared.tokens.header(key), other != refused { return other }
            if let refused { shared.tokens.forget(refused, for: key) }
            let exchange = TokenExchange(
                transport: shared.transport, endpoint: endpoint, origin: base, credentials: credentials,
                scopes: key.scopes)
            let challenges = Challenge.parse(refusal.response.headers["WWW-Authenticate"])
            guard let (header, lifetime) = try await exchange.answer(challenges), header != refused else { return nil }
            shared.tokens.keep(header, for: key, lifetime: lifetime)
            return header
        }
    }

    private func follow(
        _ request: RegistryRequest, _ start: WebLocation, base: WebLocation, authorization: String?
    ) async throws -> RegistryAnswer {
        var location = start
        for _ in 0..<6 {
            var headers = request.headers
            if let authorization, location.isSameOrigin(as: base) {
                headers.replaceOrAdd(name: "Authorization", value: authorization)
            }
            let response = try await shared.transport.send(
                request.method, location, headers: headers, body: request.makeBody(),
                insecure: endpoint.insecure && location.authority == base.authority,
                deadline: request.isTransfer ? nil : .seconds(120))
            let answer = RegistryAnswer(response: response, location: location)
            let isRedirect =
                [307, 308].contains(answer.status)
                || ([301, 302, 303].contains(answer.status) && [.GET, .HEAD].contains(request.method))
            guard isRedirect, let target = answer.header("Location") else { return answer }
            await answer.discard()
            location = try checkedRedirect(target, from: location, base: base)
        }
        throw EngineError(.unavailable, "registry \(endpoint.registry) redirects more than five times")
    }

    /// Where a `Location` header leads; refuses the step from TLS to plain http, and into this machine's own network.
    func checkedRedirect(_ text: String, from location: WebLocation, base: WebLocation) throws -> WebLocation {
        guard let target = location.resolving(text) else {
            throw EngineError(
                .unavailable, "registry \(endpoint.registry) redirects to \(Names.quoted(text)), which is no URL")
        }
        let isLeavingTLS = location.isSecure && !target.isSecure
        let isEnteringHost = HostName.isLocalOnly(target.host) && !HostName.isLocalOnly(base.host)
        if isLeavingTLS || isEnteringHost {
            throw EngineError(
                .permissionDenied, "registry \(endpoint.registry) redirects to \(Names.quoted(target.forPeople))",
                hint: isLeavingTLS ? "which is not protected by TLS" : "which is an address of this machine or link")
        }
        return target
    }

    /// `/v2/` of the registry. An insecure registry is tried with TLS first, as Docker does.
    func base() async throws -> WebLocation {
        let authority = endpoint.authority.lowercased()
        let secure = WebLocation(isSecure: true, authority: authority, target: "/v2/")
        guard endpoint.insecure,
            try !shared.transport.hasCertificates(for: authority, insecure: true)
        else { return secure }
        let plain = WebLocation(isSecure: false, authority: authority, target: "/v2/")
        if let known = shared.speaksTLS.withLock({ $0[authority] }), known.found > .now - .seconds(60) {
            return known.answer ? secure : plain
        }
        do {
            let response = try await shared.transport.send(
                .GET, secure, headers: [:], body: nil, insecure: true, deadline: shared.settings.connectTimeout)
            await RegistryAnswer(response: response, location: secure).discard()
            shared.speaksTLS.withLock { $0[authority] = (true, .now) }
            return secure
        } catch let failure as WebTransport.Failure {
            // A refused connection says nothing about TLS: nobody listens yet.
            if failure.isTLS { shared.speaksTLS.withLock { $0[authority] = (false, .now) } }
            return plain
        }
    }
}
