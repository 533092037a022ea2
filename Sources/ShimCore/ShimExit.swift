/// How the first process, or an exec session's, ended.
public struct ShimExit: Sendable, Equatable {
    /// As wait(2) gives it.
    public var status: Int32
    /// The control group had killed for want of memory when the process ended by SIGKILL.
    public var outOfMemory: Bool
    /// Time of the end since 1970.
    public var seconds: Int64
    public var nanoseconds: Int64

    public init(status: Int32, outOfMemory: Bool = false, seconds: Int64, nanoseconds: Int64) {
        self.status = status
        self.outOfMemory = outOfMemory
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }

    /// The content of the `exit` file: one line of four numbers and a line feed, which shows that it is whole.
    public func line() -> [UInt8] {
        var out: [UInt8] = []
        appendDecimal(Int64(status), to: &out)
        out.append(0x20)
        out.append(outOfMemory ? 0x31 : 0x30)
        out.append(0x20)
        appendDecimal(seconds, to: &out)
        out.append(0x20)
        appendDecimal(nanoseconds, to: &out)
        out.append(0x0A)
        return out
    }

    /// Nil unless the bytes are what `line()` gives.
    public init?(line: [UInt8]) {
        guard line.last == 0x0A else { return nil }
        var fields: [Int64] = []
        for part in line.dropLast().split(separator: 0x20, maxSplits: 4, omittingEmptySubsequences: false) {
            guard let value = parseDecimal(part) else { return nil }
            fields.append(value)
        }
        guard fields.count == 4, let status = Int32(exactly: fields[0]), fields[1] == 0 || fields[1] == 1 else {
            return nil
        }
        self.init(status: status, outOfMemory: fields[1] == 1, seconds: fields[2], nanoseconds: fields[3])
    }
}

/// Appends the decimal digits of `value`.
public func appendDecimal(_ value: Int64, to out: inout [UInt8]) {
    if value < 0 { out.append(0x2D) }
    var digits: [UInt8] = []
    var rest = value.magnitude
    repeat {
        digits.append(0x30 + UInt8(rest % 10))
        rest /= 10
    } while rest > 0
    out.append(contentsOf: digits.reversed())
}

/// Reads decimal digits with an optional minus sign; nil for anything else and on overflow.
public func parseDecimal(_ bytes: some Collection<UInt8>) -> Int64? {
    var rest = bytes[...]
    let negative = rest.first == 0x2D
    if negative { rest = rest.dropFirst() }
    guard !rest.isEmpty else { return nil }
    var value: Int64 = 0
    for byte in rest {
        guard byte >= 0x30, byte <= 0x39 else { return nil }
        let (product, tooLarge) = value.multipliedReportingOverflow(by: 10)
        let (sum, alsoTooLarge) = product.addingReportingOverflow(Int64(byte - 0x30))
        if tooLarge || alsoTooLarge { return nil }
        value = sum
    }
    return negative ? -value : value
}
