import Glibc

/// Strings as an array of C strings for the length of a call.
struct CStrings {
    private let strings: [String]
    init(_ strings: [String]) { self.strings = strings }

    func use<Result>(_ body: (UnsafeMutablePointer<UnsafePointer<CChar>?>) -> Result) -> Result {
        let copies = strings.map { strdup($0) }
        defer { copies.forEach { free($0) } }
        var pointers = copies.map { UnsafePointer($0) }
        pointers.append(nil)
        return pointers.withUnsafeMutableBufferPointer { buffer in
            // Never nil: the array ends with a null pointer, so it is not empty.
            guard let base = buffer.baseAddress else { preconditionFailure("an array with an element has an address") }
            return body(base)
        }
    }
}
