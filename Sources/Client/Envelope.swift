import FoundationEssentials
import WireTypes

/// JSON as the API has it.
public enum JSON {
    /// Compact JSON with sorted keys.
    public static func encode(_ value: some Encodable) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return Array(try encoder.encode(value))
    }

    /// JSON for people, sorted and indented.
    public static func pretty(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted]
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    public static func decode<Value: Decodable>(_ type: Value.Type, from bytes: [UInt8]) throws -> Value {
        try JSONDecoder().decode(type, from: Data(bytes))
    }
}

/// What stands around every answer.
enum Envelope {
    /// Decodes an answer; an error answer is thrown.
    static func decode<Value: Codable & Sendable>(_ body: [UInt8], status: Int) throws -> API.Response<Value> {
        if status >= 400 { throw refusal(body, status: status) }
        do {
            let answer = try JSON.decode(API.Response<Value>.self, from: body)
            if answer.type == "error" { throw refusal(body, status: status) }
            return answer
        } catch let error as DecodingError {
            // An error answer may carry metadata of another shape.
            if let answer = try? JSON.decode(API.Response<JSONValue>.self, from: body), answer.type == "error" {
                throw refusal(body, status: status)
            }
            throw ClientError(
                .malformedAnswer, "the daemon's answer was not understood (\(place(of: error)))",
                hint: "compare 'isle version': client and daemon may be of different releases")
        }
    }

    private static func refusal(_ body: [UInt8], status: Int) -> ClientError {
        guard let answer = try? JSON.decode(API.Response<JSONValue>.self, from: body), !answer.error.isEmpty else {
            return ClientError(.refused(status: status), "the daemon answered with HTTP status \(status)")
        }
        return ClientError(.refused(status: answer.errorCode == 0 ? status : answer.errorCode), answer.error)
    }

    private static func place(of error: DecodingError) -> String {
        let context: DecodingError.Context
        switch error {
        case .typeMismatch(_, let found), .valueNotFound(_, let found), .keyNotFound(_, let found),
            .dataCorrupted(let found):
            context = found
        @unknown default: return "JSON"
        }
        let path = context.codingPath.map(\.stringValue).joined(separator: ".")
        return path.isEmpty ? "JSON" : path
    }
}
