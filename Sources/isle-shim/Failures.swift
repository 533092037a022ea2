import CHost

/// `doing: the system's words`, for a call that gave the negative error number `result`.
func failure(_ doing: String, _ result: Int32, _ kind: ShimFailure.Kind = .system) -> ShimFailure {
    let number = -result
    return ShimFailure(kind, number: number, doing + ": " + String(cString: isle_error_text(number)))
}

/// Throws unless `result` is what a call gives that worked.
@discardableResult
func check(_ result: Int32, _ doing: @autoclosure () -> String) throws(ShimFailure) -> Int32 {
    if result < 0 { throw failure(doing(), result) }
    return result
}

func decimal(_ value: Int32) -> String {
    var digits: [UInt8] = []
    appendDecimal(Int64(value), to: &digits)
    return String(decoding: digits, as: UTF8.self)
}
