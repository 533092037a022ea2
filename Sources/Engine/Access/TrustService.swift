import DriverKit
import Logging
public import Model
import StateStore

/// The trust store: whose certificates the daemon takes, and for what.
public actor TrustService {
    private let parts: EngineParts
    private let settings: ServerSettings
    private let operations: OperationService
    private let projects: ProjectService
    private var certificates: [String: CertificateRecord] = [:]
    private var attempts = AttemptLimiter()
    private static let collection = "certificate"

    init(parts: EngineParts, settings: ServerSettings, operations: OperationService, projects: ProjectService) {
        self.parts = parts
        self.settings = settings
        self.operations = operations
        self.projects = projects
    }

    func load() async throws {
        let (records, unreadable) = try await parts.store.documents(Self.collection, CertificateRecord.self)
        for name in unreadable {
            parts.logger.error("a certificate's record cannot be read; it was left", metadata: ["name": "\(name)"])
        }
        for record in records { certificates[record.fingerprint] = record }
    }

    public func list() -> [CertificateRecord] { certificates.values.sorted { $0.fingerprint < $1.fingerprint } }

    /// By fingerprint or by the beginning of one. `notFound`, or `conflict` where several begin so.
    public func get(_ prefix: String) throws -> CertificateRecord {
        if let exact = certificates[prefix.lowercased()] { return exact }
        let found = certificates.values.filter { $0.fingerprint.hasPrefix(prefix.lowercased()) }
        guard let first = found.first, !prefix.isEmpty else {
            throw EngineError(.notFound, "certificate \(Names.quoted(prefix)) is not in the trust store")
        }
        guard found.count == 1 else {
            throw EngineError(
                .conflict, "\(found.count) certificates begin with \(Names.quoted(prefix))",
                hint: "give more of the fingerprint")
        }
        return first
    }

    /// The certificate of exactly that fingerprint; nil if it is not trusted.
    public func find(_ fingerprint: String) -> CertificateRecord? { certificates[fingerprint] }

    /// - Parameter text: PEM, or DER in base 64.
    /// - Parameter name: nil or empty takes the certificate's common name, else `fallback`.
    public func add(
        _ text: String, name: String?, purpose: CertificateRecord.Purpose, restricted: Bool, projects: [String],
        fallback: String = ""
    ) async throws -> CertificateRecord {
        let facts = try material().certificate(text)
        guard facts.isValid(at: Clock.now) else {
            throw EngineError(
                .invalidArgument, "the certificate is not valid now: it has expired or is from the future")
        }
        guard certificates[facts.fingerprint] == nil else {
            throw EngineError(.alreadyExists, "the certificate \(facts.fingerprint) is in the trust store already")
        }
        let chosen = [name, facts.commonName, fallback].compactMap { $0 }.first { !$0.isEmpty } ?? facts.fingerprint
        let record = CertificateRecord(
            fingerprint: facts.fingerprint, purpose: purpose, name: chosen, certificate: facts.pem,
            restricted: restricted, projects: projects)
        try await check(record)
        try await save(record)
        parts.events.lifecycle("certificate-created", "/1.0/certificates/\(record.fingerprint)")
        return record
    }

    /// Changes everything but the fingerprint, unless `certificate` is another: then the record moves to its.
    public func update(_ fingerprint: String, to wanted: CertificateRecord) async throws {
        let old = try get(fingerprint)
        var new = wanted
        let facts = try material().certificate(wanted.certificate)
        (new.fingerprint, new.certificate) = (facts.fingerprint, facts.pem)
        guard new.fingerprint == old.fingerprint || certificates[new.fingerprint] == nil else {
            throw EngineError(.alreadyExists, "the certificate \(new.fingerprint) is in the trust store already")
        }
        try await check(new)
        try await save(new)
        if new.fingerprint != old.fingerprint {
            try await parts.store.deleteDocument(Self.collection, old.fingerprint)
            certificates[old.fingerprint] = nil
        }
        parts.events.lifecycle("certificate-updated", "/1.0/certificates/\(new.fingerprint)")
    }

    public func remove(_ fingerprint: String) async throws {
        let record = try get(fingerprint)
        try await parts.store.deleteDocument(Self.collection, record.fingerprint)
        certificates[record.fingerprint] = nil
        parts.events.lifecycle("certificate-deleted", "/1.0/certificates/\(record.fingerprint)")
    }

    /// Follows a renamed project; with nil the project is gone.
    func projectRenamed(_ name: String, to newName: String?) async throws {
        for record in certificates.values where record.projects.contains(name) {
            var changed = record
            changed.projects = record.projects.compactMap { $0 == name ? newName : $0 }
            try await save(changed)
        }
    }

    // MARK: joining

    /// A token by which one client can add its certificate, once: an operation that runs until then.
    /// - Parameter addresses: where the daemon can be reached.
    public func issueToken(
        name: String, purpose: CertificateRecord.Purpose, restricted: Bool, projects: [String], addresses: [String]
    ) async throws -> OperationRecord {
        let template = CertificateRecord(
            fingerprint: "", purpose: purpose, name: name, certificate: "", restricted: restricted, projects: projects)
        try await check(template)
        let lifetime = await settings.get("core.remote_token_expiry").flatMap(Expiry.seconds)
        var metadata: [String: Metadata] = [
            "secret": .string(Self.secret()), "fingerprint": .string(try material().serverCertificate.fingerprint),
            "addresses": .array(addresses.map { .string($0) }),
            "request": [
                "name": .string(name), "type": .string(purpose.rawValue), "restricted": .bool(restricted),
                "projects": .array(projects.map { .string($0) }), "certificate": "", "password": "", "token": true,
            ],
        ]
        if let lifetime { metadata["expiresAt"] = .string(Timestamp.text(Clock.now + lifetime)) }
        return await operations.start(
            "Executing operation", class: .token, metadata: metadata, mayCancel: true
        ) { _ in
            try await Task.sleep(for: lifetime.map { .seconds($0) } ?? .seconds(1 << 30))
            throw EngineError(.timeout, "the token has expired")
        }
    }

    /// What the certificate of a client that gave this token's secret is to be; the token is used up.
    /// - Throws: `permissionDenied` if it is wrong, used or expired; `busy` after too many wrong ones.
    public func redeem(secret: String, from address: String) async throws -> CertificateRecord {
        try await attempt(address) {
            let running = await operations.list().filter { $0.class == .token && $0.status == .running }
            guard
                let token = running.first(where: {
                    $0.metadata["secret"]?.string.map { Self.isSame($0, secret) } ?? false
                })
            else { return nil }
            // Of two clients with one token, the second finds it cancelled.
            do { try await operations.cancel(token.id) } catch { return nil }
            let request = token.metadata["request"]
            var names: [String] = []
            if case .array(let projects)? = request?["projects"] { names = projects.compactMap(\.string) }
            return CertificateRecord(
                fingerprint: "", purpose: .init(rawValue: request?["type"]?.string ?? "") ?? .client,
                name: request?["name"]?.string ?? "", certificate: "",
                restricted: request?["restricted"] == .bool(true),
                projects: names)
        }
    }

    /// Like `redeem`, by the password in `core.trust_password`.
    public func checkPassword(_ password: String, from address: String) async throws {
        _ = try await attempt(address) { () async throws -> Bool? in
            guard let hash = await settings.get("core.trust_password") else { return nil }
            return try material().verify(password: password, hash: hash) ? true : nil
        }
    }

    private func attempt<Value: Sendable>(_ address: String, _ body: () async throws -> Value?) async throws -> Value {
        guard attempts.mayTry(address, now: Clock.now) else {
            throw EngineError(.busy, "too many wrong tokens or passwords", hint: "wait a minute")
        }
        guard let value = try await body() else {
            attempts.failed(address, now: Clock.now)
            parts.logger.warning("a client was refused", metadata: ["address": "\(address)"])
            throw EngineError(
                .permissionDenied, "the token or password is wrong, was used before or has expired",
                hint: "ask for a new token: lxc config trust add, isle config trust add")
        }
        return value
    }

    // MARK: -

    private func check(_ record: CertificateRecord) async throws {
        let name = record.name
        guard !name.hasPrefix("-"), !name.contains("/"), name.utf8.count <= 255,
            !name.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7f })
        else {
            throw EngineError(
                .invalidArgument, "certificate name \(Names.quoted(name)) is not allowed",
                hint: "no slash, no control character, no dash at its beginning")
        }
        guard record.restricted || record.projects.isEmpty else {
            throw EngineError(
                .invalidArgument, "projects are named for a certificate that is not restricted",
                hint: "set restricted to true too")
        }
        for project in record.projects { _ = try await projects.get(project) }
    }

    private func save(_ record: CertificateRecord) async throws {
        try await parts.store.saveDocument(Self.collection, record.fingerprint, record)
        certificates[record.fingerprint] = record
    }

    private func material() throws -> any TrustMaterial {
        guard let trust = parts.trust else { throw EngineError(.unsupported, "this daemon takes no remote clients") }
        return trust
    }

    /// 256 random bits in hexadecimal digits.
    private static func secret() -> String {
        (0..<4).map { _ in
            let digits = String(UInt64.random(in: .min ... .max), radix: 16)
            return String(repeating: "0", count: 16 - digits.utf8.count) + digits
        }.joined()
    }

    /// Takes the same time wherever they differ.
    private static func isSame(_ left: String, _ right: String) -> Bool {
        let (left, right) = (Array(left.utf8), Array(right.utf8))
        guard left.count == right.count else { return false }
        return zip(left, right).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
    }
}
