import DoorKit
import FoundationEssentials
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Model
import NIOCore
import WireTypes

/// One request with what its route wants of it.
struct Call: Sendable {
    /// Bytes of a JSON body at most.
    static let bodyLimit = 1 << 20

    let request: Request
    let context: DoorContext
    let caller: Caller
    private let query: [String: String]

    init(_ request: Request, _ context: DoorContext, _ caller: Caller) throws {
        self.request = request
        self.caller = caller
        self.context = context
        query = try Self.parse(request.uri.query)
    }

    /// A part of the path, decoded.
    func parameter(_ name: String) throws -> String {
        guard let raw = context.parameters.get(name), let value = raw.removingURLPercentEncoding(), !value.isEmpty
        else { throw EngineError(.invalidArgument, "the path's \(name) is empty or wrongly encoded") }
        return value
    }

    /// A value of the query; nil if it is missing or empty.
    func query(_ name: String) -> String? {
        guard let value = query[name], !value.isEmpty else { return nil }
        return value
    }

    func flag(_ name: String) -> Bool { query(name) == "1" || query(name) == "true" }

    func number(_ name: String) throws -> Int? {
        guard let text = query(name) else { return nil }
        guard let value = Int(text) else {
            throw EngineError(.invalidArgument, "\(name)=\(Names.quoted(text)) is not a number")
        }
        return value
    }

    /// 0, 1 or 2: paths, things, things with all that belongs to them.
    var recursion: Int {
        get throws {
            let value = try number("recursion") ?? 0
            guard (0...2).contains(value) else {
                throw EngineError(.invalidArgument, "recursion=\(value) is not 0, 1 or 2")
            }
            return value
        }
    }

    var project: String { query("project") ?? "default" }

    /// What lists are about: a project, or nil for all that the caller may use.
    var projectOrAll: String? { flag("all-projects") ? nil : project }

    /// The JSON body. Unknown fields are ignored; a key twice, too deep nesting and wrong types are refused.
    func decode<Value: Decodable>(_ type: Value.Type) async throws -> Value {
        let bytes: ByteBuffer
        do {
            bytes = try await request.body.collect(upTo: Self.bodyLimit)
        } catch is NIOTooManyBytesError {
            throw RequestError(.contentTooLarge, "the body is longer than \(Self.bodyLimit) bytes")
        } catch let error as HTTPError where error.status == .contentTooLarge {
            throw RequestError(.contentTooLarge, "the body is longer than \(Self.bodyLimit) bytes")
        }
        let view = bytes.readableBytesView
        // What is not said is set back by a PUT: nobody means that by saying nothing.
        guard request.method != .put || !view.isEmpty else {
            throw EngineError(.invalidArgument, "the body is empty", hint: "send the whole object, or use PATCH")
        }
        do {
            try JSONText.check(view)
            return try JSONDecoder().decode(type, from: view.isEmpty ? Data("{}".utf8) : Data(view))
        } catch let error as JSONText.Violation {
            throw EngineError(.invalidArgument, "\(error)")
        } catch let error as DecodingError {
            throw EngineError(.invalidArgument, Self.explain(error))
        }
    }

    /// Refuses the change when the client's mark (`If-Match`) is not `etag`.
    func checkPrecondition(_ etag: String) throws {
        guard let wanted = request.headers[.ifMatch], wanted != "*" else { return }
        let bare = wanted.filter { $0 != "\"" }
        guard bare == etag else {
            throw RequestError(.preconditionFailed, "it was changed meanwhile (ETag \(etag)): look again and repeat")
        }
    }

    private static func parse(_ text: String?) throws -> [String: String] {
        guard let text else { return [:] }
        var values: [String: String] = [:]
        for pair in text.split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let plain = parts.map { part in
                String(part.map { $0 == "+" ? " " : $0 }).removingURLPercentEncoding()
            }
            guard let name = plain[0], let value = plain.count > 1 ? plain[1] : "" else {
                throw EngineError(.invalidArgument, "the query is wrongly encoded")
            }
            guard values.updateValue(value, forKey: name) == nil else {
                throw EngineError(.invalidArgument, "the query has \(Names.quoted(name)) twice")
            }
        }
        return values
    }

    private static func explain(_ error: DecodingError) -> String {
        func path(_ context: DecodingError.Context) -> String {
            let path = context.codingPath.map(\.stringValue).joined(separator: ".")
            return path.isEmpty ? "the body" : "the field '\(path)'"
        }
        switch error {
        case .typeMismatch(let type, let context): return "\(path(context)) is not of the type \(type)"
        case .valueNotFound(_, let context), .keyNotFound(_, let context): return "\(path(context)) is missing"
        case .dataCorrupted(let context) where context.codingPath.isEmpty: return "the body is not JSON"
        case .dataCorrupted(let context): return "\(path(context)) is wrong"
        @unknown default: return "the body is not what is expected here"
        }
    }
}
