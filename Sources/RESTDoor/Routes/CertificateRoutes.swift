import DoorKit
import Engine
import FoundationEssentials
import HTTPTypes
import Hummingbird
import Model
import WireTypes

/// `/1.0/certificates`: the trust store, and how clients come into it.
struct CertificateRoutes: Sendable {
    let door: DoorParts
    private var trust: TrustService { door.engine.trust }

    func add(to table: RouteTable) {
        table.add("/1.0/certificates", [.get: { try await list($0) }, .post: { try await add($0) }])
        table.add(
            "/1.0/certificates/:fingerprint",
            [
                .get: { try await get($0) }, .put: { try await change($0) }, .patch: { try await change($0) },
                .delete: { try await remove($0) },
            ])
    }

    /// A client that is confined to projects sees its own certificate alone.
    private func visible(_ call: Call) async -> [CertificateRecord] {
        if call.caller.isAdministrator { return await trust.list() }
        guard case .trusted(let own, _) = call.caller else { return [] }
        return [own]
    }

    private func list(_ call: Call) async throws -> Response {
        let records = await visible(call)
        if try call.recursion == 0 { return try Reply.sync(records.map { "/1.0/certificates/\($0.fingerprint)" }) }
        return try Reply.sync(records.map { API.Certificate($0) })
    }

    private func find(_ call: Call) async throws -> CertificateRecord {
        let record = try await trust.get(try call.parameter("fingerprint"))
        guard await visible(call).contains(where: { $0.fingerprint == record.fingerprint }) else {
            throw EngineError(.permissionDenied, "this client may look at its own certificate only")
        }
        return record
    }

    private func get(_ call: Call) async throws -> Response {
        let certificate = API.Certificate(try await find(call))
        return try Reply.sync(certificate, etag: try ETag.of(certificate.changeable))
    }

    // MARK: adding

    private func add(_ call: Call) async throws -> Response {
        let post = try await call.decode(API.CertificatesPost.self)
        if call.caller.isAdministrator, post.password.isEmpty, post.trustToken == nil {
            return try await post.token ? issueToken(post) : addByAdministrator(post, call)
        }
        guard case .stranger(let address) = call.caller else {
            // The token is used up all the same: it went over the wire.
            _ = try? await self.template(post, address: call.caller.address)
            throw EngineError(.invalidArgument, "this client is trusted already")
        }
        guard !post.token else { throw EngineError(.permissionDenied, "not authorized") }
        let template: CertificateRecord
        do { template = try await self.template(post, address: address) } catch let error as EngineError
            where error.code == .busy
        {
            throw RequestError(.tooManyRequests, error.description)
        }
        guard let shown = call.context.peer.certificate else {
            throw EngineError(
                .invalidArgument, "the connection shows no certificate that could be trusted",
                hint: "connect with a client certificate")
        }
        let record = try await trust.add(
            Data(shown.der).base64EncodedString(), name: template.name.isEmpty ? post.name : template.name,
            purpose: template.purpose, restricted: template.restricted, projects: template.projects,
            fallback: address)
        return try Reply.created("/1.0/certificates/\(record.fingerprint)")
    }

    /// What somebody who has a token or the password is to be; of the request only the name counts.
    private func template(_ post: API.CertificatesPost, address: String) async throws -> CertificateRecord {
        let given = post.trustToken ?? post.password
        if let secret = Self.secret(in: given) { return try await trust.redeem(secret: secret, from: address) }
        try await trust.checkPassword(given, from: address)
        return CertificateRecord(
            fingerprint: "", purpose: try .init(type: post.type), name: post.name, certificate: "")
    }

    private static func secret(in text: String) -> String? {
        guard let data = Data(base64Encoded: text),
            let token = try? JSONDecoder().decode(API.CertificateAddToken.self, from: data), !token.secret.isEmpty
        else { return nil }
        return token.secret
    }

    private func addByAdministrator(_ post: API.CertificatesPost, _ call: Call) async throws -> Response {
        guard !post.certificate.isEmpty else {
            throw EngineError(
                .invalidArgument, "the field 'certificate' is empty", hint: "give it, or ask for a token")
        }
        let record = try await trust.add(
            post.certificate, name: post.name, purpose: try .init(type: post.type), restricted: post.restricted,
            projects: post.projects)
        return try Reply.created("/1.0/certificates/\(record.fingerprint)")
    }

    private func issueToken(_ post: API.CertificatesPost) async throws -> Response {
        guard post.certificate.isEmpty else {
            throw EngineError(.invalidArgument, "a token is not for a certificate that is given")
        }
        let addresses = await door.server.addresses()
        guard !addresses.isEmpty else {
            throw EngineError(
                .invalidArgument, "no token can be issued: the server does not listen for remote clients",
                hint: "lxc config set core.https_address :8443, or isle config server set core.https_address=:8443")
        }
        let record = try await trust.issueToken(
            name: post.name, purpose: try .init(type: post.type), restricted: post.restricted, projects: post.projects,
            addresses: addresses)
        return try Reply.operation(API.Operation(record))
    }

    // MARK: changing

    /// A client that is confined to projects may put another certificate in place of its own, nothing else.
    private func change(_ call: Call) async throws -> Response {
        let old = try await find(call)
        try call.checkPrecondition(try ETag.of(API.Certificate(old).changeable))
        let put = try await call.decode(API.CertificatePut.self)
        var new = old
        let isPatch = call.request.method == .patch
        new.name = put.name ?? (isPatch ? old.name : "")
        new.purpose = try put.type.map { try .init(type: $0) } ?? (isPatch ? old.purpose : .client)
        new.restricted = put.restricted ?? (isPatch ? old.restricted : false)
        new.projects = put.projects ?? (isPatch ? old.projects : [])
        if let certificate = put.certificate, !certificate.isEmpty { new.certificate = certificate }
        if !call.caller.isAdministrator {
            guard new.name == old.name, new.purpose == old.purpose, new.restricted == old.restricted,
                Set(new.projects) == Set(old.projects)
            else {
                throw EngineError(.permissionDenied, "a client may change its own certificate, not its rights")
            }
        }
        try await trust.update(old.fingerprint, to: new)
        return try Reply.done()
    }

    private func remove(_ call: Call) async throws -> Response {
        try await trust.remove(try await find(call).fingerprint)
        return try Reply.done()
    }
}
