import FoundationEssentials
import Model

/// Tables, chains and rules as nftables lists them.
public struct Ruleset: Sendable {
    public var tables: [Table] = []
    public var chains: [Chain] = []
    public var rules: [Rule] = []

    public struct Table: Sendable, Hashable, Decodable {
        public var family: String
        public var name: String
    }

    public struct Chain: Sendable, Hashable, Decodable {
        public var family: String
        public var table: String
        public var name: String
        /// `filter`, `nat`, `route`; nil, as the rest, for a chain that only others jump to.
        public var type: String?
        /// `forward`, `input`, …
        public var hook: String?
        /// `accept` or `drop`.
        public var policy: String?
    }

    public struct Rule: Sendable, Hashable, Decodable {
        public var family: String
        public var table: String
        public var chain: String
        /// What `delete rule` wants.
        public var handle: Int
        public var comment: String?
        public var expr: [Expression]?

        /// The rule's statements, in order.
        public var expressions: [Expression] { expr ?? [] }
    }

    /// One statement of a rule: its name (`match`, `counter`, `drop`, `jump`, …) and, for a jump, where to.
    public struct Expression: Sendable, Hashable, Decodable {
        public var name: String
        public var target: String?

        private struct Key: CodingKey {
            var stringValue: String
            var intValue: Int? { nil }
            init?(stringValue: String) { self.stringValue = stringValue }
            init?(intValue: Int) { nil }
        }

        private struct Destination: Decodable { var target: String }

        public init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: Key.self)
            let key = container.allKeys.first
            name = key?.stringValue ?? ""
            if let key, ["jump", "goto"].contains(key.stringValue) {
                target = try container.decode(Destination.self, forKey: key).target
            }
        }
    }

    /// - Throws: `internal` if it is not what libnftables-json(5) describes.
    public init(json: [UInt8]) throws {
        struct Document: Decodable { var nftables: [Entry] }
        struct Entry: Decodable {
            var table: Table?
            var chain: Chain?
            var rule: Rule?
        }
        guard !json.isEmpty else { return }
        do {
            for entry in try JSONDecoder().decode(Document.self, from: Data(json)).nftables {
                if let table = entry.table { tables.append(table) }
                if let chain = entry.chain { chains.append(chain) }
                if let rule = entry.rule { rules.append(rule) }
            }
        } catch {
            throw EngineError(.internal, "nftables' answer cannot be read", cause: error)
        }
    }
}
