import Model
import TOMLKit

/// One file of containers-registries.conf(5), version 2 of the format, as it is written.
struct RegistriesFile: Decodable, Sendable {
    var searchRegistries: [String]?
    var registries: [Entry]?
    var aliases: [String: String]?
    /// Tables of version 1 of the format, which is not taken.
    var version1: VersionOne?

    enum CodingKeys: String, CodingKey {
        case searchRegistries = "unqualified-search-registries"
        case registries = "registry"
        case aliases
        case version1 = "registries"
    }

    struct VersionOne: Decodable, Sendable {}

    struct Entry: Decodable, Sendable {
        var prefix: String?
        var location: String?
        var insecure: Bool?
        var blocked: Bool?
        var mirrorByDigestOnly: Bool?
        var mirrors: [Mirror]?

        enum CodingKeys: String, CodingKey {
            case prefix, location, insecure, blocked
            case mirrorByDigestOnly = "mirror-by-digest-only"
            case mirrors = "mirror"
        }
    }

    struct Mirror: Decodable, Sendable {
        var location: String
        var insecure: Bool?
        /// `all`, `digest-only` or `tag-only`.
        var pullFrom: String?

        enum CodingKeys: String, CodingKey {
            case location, insecure
            case pullFrom = "pull-from-mirror"
        }
    }

    init(parsing text: String, path: String) throws {
        do {
            self = try TOMLDecoder().decode(RegistriesFile.self, from: text)
        } catch let error as TOMLParseError {
            throw EngineError(.invalidArgument, "\(path), \(error.source.begin): \(error.description)")
        } catch {
            throw EngineError(.invalidArgument, "\(path) has a value of the wrong type", cause: error)
        }
        if version1 != nil {
            throw EngineError(
                .unsupported, "\(path) is in version 1 of the registries format",
                hint: "write it as containers-registries.conf(5) describes version 2")
        }
    }
}
