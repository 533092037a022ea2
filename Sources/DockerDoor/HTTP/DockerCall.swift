import DoorKit
import FoundationEssentials
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Model
import NIOCore

/// One request with what its route wants of it.
struct DockerCall: Sendable {
    /// Bytes of a JSON body at most.
    static let bodyLimit = 4 << 20

    let request: Request
    let context: DoorContext
    /// What the client speaks.
    let version: APIVersion
    private let parameters: [String: String]
    private let query: [(name: String, value: String)]

    init(_ request: Request, _ context: DoorContext, version: APIVersion, parameters: [String: String]) throws {
        self.request = request
        self.context = context
        self.version = version
        self.parameters = parameters
        query = try Self.parse(request.uri.query)
    }

    /// A part of the path, decoded.
    func parameter(_ name: String) throws -> String {
        guard let raw = parameters[name], let value = Self.decode(raw), !value.isEmpty, !value.utf8.contains(0) else {
            throw EngineError(.invalidArgument, "the path's \(name) is empty or wrongly encoded")
        }
        return value
    }

    /// A value of the query, the first of its name; nil if it is missing or empty.
    func value(_ name: String) -> String? {
        guard let value = query.first(where: { $0.name == name })?.value, !value.isEmpty else { return nil }
        return value
    }

    func values(_ name: String) -> [String] { query.filter { $0.name == name }.map(\.value) }

    func has(_ name: String) -> Bool { query.contains { $0.name == name } }

    /// As dockerd reads them (`httputils.BoolValue`): what is neither empty nor one of five words for no.
    func flag(_ name: String, default standard: Bool = false) -> Bool {
        guard let text = query.first(where: { $0.name == name })?.value else { return standard }
        return !["", "0", "no", "false", "none"].contains(text.lowercased())
    }

    func number(_ name: String) throws -> Int? {
        guard let text = value(name) else { return nil }
        guard let number = Int(text) else {
            throw EngineError(.invalidArgument, "\(name)=\(Names.quoted(text)) is not a number")
        }
        return number
    }

    func header(_ name: String) -> String? { HTTPField.Name(name).flatMap { request.headers[$0] } }

    var filters: Filters { get throws { try Filters(value("filters")) } }

    /// The JSON body; an empty one is an empty object.
    func body() async throws -> Fields {
        let bytes = try await bytes(limit: Self.bodyLimit)
        guard !bytes.isEmpty else { return try Fields(.null) }
        do {
            return try Fields(JSONParser.parse(bytes))
        } catch let error as JSONParser.Failure {
            throw EngineError(.invalidArgument, "\(error)")
        }
    }

    private func bytes(limit: Int) async throws -> [UInt8] {
        do {
            return Array(buffer: try await request.body.collect(upTo: limit))
        } catch is NIOTooManyBytesError {
            throw Refusal(.contentTooLarge, "the body is longer than \(limit) bytes")
        } catch let error as HTTPError where error.status == .contentTooLarge {
            throw Refusal(.contentTooLarge, "the body is longer than \(limit) bytes")
        }
    }

    /// Whether the client asks to have the connection for itself (RFC 9110, section 7.8).
    var wantsUpgrade: Bool {
        (request.headers[.connection] ?? "").lowercased().contains("upgrade") && request.headers.contains(.upgrade)
    }

    private static func parse(_ text: String?) throws -> [(name: String, value: String)] {
        try (text ?? "").split(separator: "&").map { pair in
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let plain = parts.map { decode(String($0.map { $0 == "+" ? " " : $0 })) }
            guard let name = plain[0], let value = plain.count > 1 ? plain[1] : "" else {
                throw EngineError(.invalidArgument, "the query is wrongly encoded")
            }
            return (name, value)
        }
    }

    /// The text with `%XX` replaced (RFC 3986, section 2.1); nil if an escape is unfinished or it is not UTF-8.
    static func decode(_ text: String) -> String? {
        guard text.utf8.contains(UInt8(ascii: "%")) else { return text }
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.popFirst(), let low = rest.popFirst(),
                let value = UInt8(String(decoding: [high, low], as: UTF8.self), radix: 16)
            else { return nil }
            bytes.append(value)
        }
        return String(validating: bytes, as: UTF8.self)
    }
}

/// A version of the Engine API.
struct APIVersion: Sendable, Comparable, CustomStringConvertible {
    var minor: Int
    /// What the docker client 28.2 speaks.
    static let newest = APIVersion(minor: 50)
    static let oldest = APIVersion(minor: 24)

    static func < (left: APIVersion, right: APIVersion) -> Bool { left.minor < right.minor }
    var description: String { "1.\(minor)" }

    init(minor: Int) { self.minor = minor }

    /// Reads `v1.41`; nil for what is no version.
    init?(segment: some StringProtocol) {
        guard segment.hasPrefix("v1."), let minor = Int(segment.dropFirst(3)), minor >= 0 else { return nil }
        self.minor = minor
    }
}

/// A refusal that is the protocol's and not the engine's, with a status of its own.
struct Refusal: Error {
    var status: HTTPResponse.Status
    var message: String

    init(_ status: HTTPResponse.Status, _ message: String) {
        self.status = status
        self.message = message
    }
}
