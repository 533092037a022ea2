import Model
import Synchronization

/// Authorization headers that a registry accepted, until they expire.
final class TokenCache: Sendable {
    struct Key: Hashable, Sendable {
        var authority: String
        var scopes: [String]
        var username: String?
        /// What one secret was good for is not another's.
        var password: String?
    }

    private struct Entry {
        var header: String
        var expires: ContinuousClock.Instant?
    }

    /// Held while a header is asked for: requests that are refused together need one new token, not one each.
    let renewal = KeyedLock<Key>()
    private let entries = Mutex<[Key: Entry]>([:])

    func header(_ key: Key) -> String? {
        entries.withLock { entries in
            guard let entry = entries[key] else { return nil }
            if let expires = entry.expires, expires <= .now {
                entries[key] = nil
                return nil
            }
            return entry.header
        }
    }

    /// - Parameter lifetime: nil for what does not expire.
    func keep(_ header: String, for key: Key, lifetime: Duration?) {
        entries.withLock { entries in
            if entries.count > 512 { entries.removeAll() }
            // Ten seconds early, so that it does not expire on its way.
            entries[key] = Entry(header: header, expires: lifetime.map { .now + max($0 - .seconds(10), .seconds(5)) })
        }
    }

    /// Forgets a header that the registry refused; one that came in its place meanwhile stays.
    func forget(_ refused: String, for key: Key) {
        entries.withLock { entries in
            if entries[key]?.header == refused { entries[key] = nil }
        }
    }
}
