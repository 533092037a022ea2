import Glibc

/// What the engine needs to know of the machine it runs on.
enum Host {
    /// As uname(2) says it.
    static let architecture: String = {
        var name = utsname()
        guard uname(&name) == 0 else { return "unknown" }
        return withUnsafeBytes(of: &name.machine) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }()
}
