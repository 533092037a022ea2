/// A group of instances with profiles and volumes of its own, bounds and restrictions.
public struct ProjectRecord: Sendable, Codable, Hashable {
    public static let standard = "default"

    public var name: String
    public var description: String
    public var config: [String: String]

    public init(name: String, description: String = "", config: [String: String] = [:]) {
        self.name = name
        self.description = description
        self.config = config
    }

    /// The project that holds what this one sees of a kind of thing: its own, or the default one's.
    public func owner(of feature: ProjectFeature) -> String {
        name == Self.standard || config[feature.key] == "true" ? name : Self.standard
    }
}

/// What a project can have of its own.
public enum ProjectFeature: String, Sendable, CaseIterable {
    case images
    case networks
    case profiles
    case volumes = "storage.volumes"

    public var key: String { "features." + rawValue }
}
