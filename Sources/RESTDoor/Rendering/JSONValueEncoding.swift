import FoundationEssentials
import WireTypes

extension JSONValue {
    /// `value` as JSON has it.
    init(encoding value: some Encodable) throws {
        self = try JSONDecoder().decode(JSONValue.self, from: try Reply.encode(value))
    }
}
