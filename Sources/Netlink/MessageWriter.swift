/// Builds the body of a netlink message: fixed headers in the machine's byte order and attributes, each aligned to
/// four bytes (netlink(7), rtnetlink(7)).
struct MessageWriter {
    private(set) var bytes: [UInt8] = []

    mutating func append<Number: FixedWidthInteger>(_ value: Number) {
        withUnsafeBytes(of: value) { bytes.append(contentsOf: $0) }
    }

    mutating func attribute(_ type: UInt16, _ payload: some Collection<UInt8>) {
        append(UInt16(clamping: payload.count + 4))
        append(type)
        bytes.append(contentsOf: payload)
        pad()
    }

    mutating func attribute(_ type: UInt16, number: UInt32) {
        attribute(type, withUnsafeBytes(of: number) { Array($0) })
    }

    /// A string with its terminating zero.
    mutating func attribute(_ type: UInt16, string: String) {
        attribute(type, Array(string.utf8) + [0])
    }

    /// An attribute that holds what `build` appends.
    mutating func nested(_ type: UInt16, _ build: (inout MessageWriter) -> Void) {
        var inner = MessageWriter()
        build(&inner)
        attribute(type, inner.bytes)
    }

    private mutating func pad() {
        while bytes.count % 4 != 0 { bytes.append(0) }
    }
}
