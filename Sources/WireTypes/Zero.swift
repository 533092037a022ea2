/// A type with an empty value, which stands for a field that is missing or null.
public protocol HasZero {
    static var zero: Self { get }
}

extension String: HasZero { public static var zero: String { "" } }
extension Bool: HasZero { public static var zero: Bool { false } }
extension Int: HasZero {}
extension Int32: HasZero {}
extension Int64: HasZero {}
extension Double: HasZero {}
extension Array: HasZero { public static var zero: [Element] { [] } }
extension Dictionary: HasZero { public static var zero: [Key: Value] { [:] } }

/// A field that is always written, and that is the empty value of its type when it is missing or null on reading.
@propertyWrapper
public struct Zero<Value: HasZero> {
    public var wrappedValue: Value
    public init(wrappedValue: Value) { self.wrappedValue = wrappedValue }
}

extension Zero: Sendable where Value: Sendable {}
extension Zero: Equatable where Value: Equatable {}
extension Zero: Hashable where Value: Hashable {}

extension Zero: Decodable where Value: Decodable {
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        wrappedValue = container.decodeNil() ? .zero : try container.decode(Value.self)
    }
}

extension Zero: Encodable where Value: Encodable {
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(wrappedValue)
    }
}

// The synthesised code of the types here calls these two instead of the general ones, since they are more specific:
// they are what makes a missing key the empty value.
extension KeyedDecodingContainer {
    public func decode<Value: HasZero & Decodable>(_: Zero<Value>.Type, forKey key: Key) throws -> Zero<Value> {
        Zero(wrappedValue: try decodeIfPresent(Value.self, forKey: key) ?? .zero)
    }
}

extension KeyedEncodingContainer {
    public mutating func encode<Value: HasZero & Encodable>(_ value: Zero<Value>, forKey key: Key) throws {
        try encode(value.wrappedValue, forKey: key)
    }
}
