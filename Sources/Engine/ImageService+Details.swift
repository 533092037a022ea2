import DriverKit
public import Model
import StateStore

/// A change of what is recorded about an image; nil leaves what is there.
public struct ImageUpdate: Sendable {
    public var properties: [String: String]?
    public var isPublic: Bool?
    public var autoUpdate: Bool?
    /// Seconds since 1970; 0 is never.
    public var expiresAt: Double?
    public var profiles: [String]?

    public init(
        properties: [String: String]? = nil, isPublic: Bool? = nil, autoUpdate: Bool? = nil, expiresAt: Double? = nil,
        profiles: [String]? = nil
    ) {
        self.properties = properties
        self.isPublic = isPublic
        self.autoUpdate = autoUpdate
        self.expiresAt = expiresAt
        self.profiles = profiles
    }
}

extension ImageService {
    public func update(_ name: String, project: String = "default", _ change: ImageUpdate) async throws {
        var record = try await get(name, project: project).record
        if let properties = change.properties { record.properties = properties }
        var details = record.details ?? ImageDetails()
        if let value = change.isPublic { details.isPublic = value }
        if let value = change.autoUpdate { details.autoUpdate = value }
        if let value = change.expiresAt { details.expiresAt = value > 0 ? value : nil }
        if let value = change.profiles { details.profiles = value }
        record.details = details
        try await parts.store.save(record, references: [])
        parts.events.lifecycle("image-updated", "/1.0/images/\(record.fingerprint)", project: project)
    }

    /// Shows an image of one project in another, too. Content is stored once.
    public func copy(_ name: String, from source: String, _ addition: ImageAddition) async throws -> ImageRecord {
        try await checkFree(addition.aliases, project: addition.project)
        var record = try await get(name, project: source).record
        let projects = record.projects ?? ["default"]
        if !projects.contains(addition.project) { record.projects = projects + [addition.project] }
        if let details = addition.details {
            var kept = record.details ?? ImageDetails()
            kept.autoUpdate = kept.autoUpdate || details.autoUpdate
            record.details = kept
        }
        record.properties.merge(addition.properties) { $1 }
        try await parts.store.save(record, references: [])
        for alias in addition.aliases {
            try await parts.store.save(
                ImageAlias(
                    project: addition.project, name: alias.name, description: alias.description, digest: record.digest))
        }
        return record
    }

    /// A word that lets a stranger fetch the private image once within an hour.
    public func makeSecret(_ name: String, project: String = "default") async throws -> String {
        let record = try await get(name, project: project).record
        let now = Clock.now
        secrets = secrets.filter { $0.value.until > now }
        let secret = UUIDText.random() + UUIDText.random()
        secrets[secret] = (record.digest, now + 3600)
        parts.events.lifecycle("image-secret-created", "/1.0/images/\(record.fingerprint)", project: project)
        return secret
    }

    /// Whether a stranger may see the image: it is public, or `secret` was made for it. With `use` the secret is spent.
    public func admits(_ name: String, project: String = "default", secret: String?, use: Bool) async throws -> Bool {
        let record = try await get(name, project: project).record
        if record.details?.isPublic == true { return true }
        guard let secret, let grant = secrets[secret], grant.digest == record.digest, grant.until > Clock.now else {
            return false
        }
        if use { secrets[secret] = nil }
        return true
    }
}
