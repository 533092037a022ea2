import AsyncHTTPClient
import FoundationEssentials
import Model
import NIOCore
import NIOHTTP1

/// Turns a registry's challenge into an Authorization header: Basic, or a bearer token from a token server
/// (distribution, docs/spec/auth/token.md and oauth.md).
///
/// The realm comes from the peer and decides where credentials go. It must be https; plain http only where the registry
/// itself is reached that way and on the same host. A realm on this machine or link is taken only from a registry there.
struct TokenExchange: Sendable {
    var transport: WebTransport
    var endpoint: RegistryEndpoint
    /// Where the challenge came from.
    var origin: WebLocation
    var credentials: RegistryCredentials?
    var scopes: [String]

    /// The header and its lifetime; nil if there is nothing with which the challenges could be met.
    func answer(_ challenges: [Challenge]) async throws -> (header: String, lifetime: Duration?)? {
        if let bearer = challenges.first(where: { $0.scheme == "bearer" }) {
            if let ready = credentials?.registryToken { return ("Bearer " + ready, nil) }
            return try await token(bearer)
        }
        if challenges.contains(where: { $0.scheme == "basic" }), let credentials, credentials.identityToken == nil {
            return (Self.basic(credentials), nil)
        }
        return nil
    }

    private struct Answer: Decodable {
        var token: String?
        var access_token: String?
        var expires_in: Int64?
    }

    private func token(_ challenge: Challenge) async throws -> (header: String, lifetime: Duration?) {
        let realm = try checkedRealm(challenge.parameters["realm"] ?? "")
        let service = challenge.parameters["service"]
        var headers = HTTPHeaders()
        var query = service.map { ["service=" + Self.escaped($0)] } ?? []
        query += scopes.map { "scope=" + Self.escaped($0) }
        let response: RegistryAnswer
        if let identity = credentials?.identityToken {
            headers.add(name: "Content-Type", value: "application/x-www-form-urlencoded")
            let form = [
                "grant_type=refresh_token", "client_id=isle", "service=" + Self.escaped(service ?? ""),
                "scope=" + Self.escaped(scopes.joined(separator: " ")), "refresh_token=" + Self.escaped(identity),
            ]
            response = try await send(.POST, realm, headers, Array(form.joined(separator: "&").utf8))
        } else {
            if let credentials {
                headers.add(name: "Authorization", value: Self.basic(credentials))
                query.append("account=" + Self.escaped(credentials.username))
            }
            let location = query.isEmpty ? realm : realm.adding(query: query.joined(separator: "&"))
            response = try await send(.GET, location, headers, nil)
        }
        guard response.status == 200 else {
            throw await response.failure("the log-in for \(endpoint.registry)")
        }
        let bytes = try await response.bytes(limit: 256 << 10)
        guard let answer = try? JSONDecoder().decode(Answer.self, from: Data(bytes)),
            let token = [answer.token, answer.access_token].compactMap({ $0 }).first(where: { !$0.isEmpty }),
            token.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f })
        else {
            throw EngineError(.unavailable, "the token server \(realm.authority) gave an answer without a token")
        }
        return ("Bearer " + token, .seconds(min(max(answer.expires_in ?? 60, 60), 86400)))
    }

    /// Token servers are asked without following redirects: the credentials are for them alone.
    private func send(
        _ method: HTTPMethod, _ location: WebLocation, _ headers: HTTPHeaders, _ body: [UInt8]?
    ) async throws -> RegistryAnswer {
        let isRegistry = location.authority == origin.authority
        let response = try await transport.send(
            method, location, headers: headers, body: body.map { .bytes(ByteBuffer(bytes: $0)) },
            insecure: isRegistry && endpoint.insecure, deadline: .seconds(60))
        return RegistryAnswer(response: response, location: location)
    }

    func checkedRealm(_ text: String) throws -> WebLocation {
        guard let realm = WebLocation(text) else {
            throw EngineError(
                .unavailable,
                "registry \(endpoint.registry) names a log-in address that is no URL: \(Names.quoted(text))")
        }
        let refused = { (why: String) in
            EngineError(
                .permissionDenied,
                "registry \(endpoint.registry) sends its clients to \(Names.quoted(realm.forPeople)) to log in, \(why)",
                hint: "nothing was sent there")
        }
        if !realm.isSecure, origin.isSecure || realm.host != origin.host {
            throw refused("which is not protected by TLS")
        }
        if HostName.isLocalOnly(realm.host), realm.host != origin.host {
            throw refused("which is an address of this machine or link")
        }
        return realm
    }

    private static func basic(_ credentials: RegistryCredentials) -> String {
        "Basic " + Data((credentials.username + ":" + credentials.password).utf8).base64EncodedString()
    }

    /// Percent-encodes all but unreserved characters (RFC 3986).
    static func escaped(_ text: String) -> String {
        var out = ""
        for byte in text.utf8 {
            let isPlain =
                (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
                || [45, 46, 95, 126].contains(byte)
            if isPlain {
                out.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                let digits = String(byte, radix: 16, uppercase: true)
                out += digits.count == 1 ? "%0" + digits : "%" + digits
            }
        }
        return out
    }
}
