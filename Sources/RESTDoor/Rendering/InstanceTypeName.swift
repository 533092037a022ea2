import Model

/// A size by its name: `c2-m4` is two processors and four GiB of memory, as with LXD. Names of clouds are not known.
enum InstanceTypeName {
    /// The limits that the name stands for.
    /// - Throws: `invalidArgument` for a name that is none.
    static func limits(_ name: String) throws -> [String: String] {
        var limits: [String: String] = [:]
        for part in name.split(separator: "-", omittingEmptySubsequences: false) {
            let number = part.dropFirst()
            switch part.first {
            case "c": limits["limits.cpu"] = Int(number).flatMap { $0 > 0 ? String($0) : nil }
            case "m": limits["limits.memory"] = Double(number).flatMap { $0 > 0 ? "\(Int64($0 * 1024))MiB" : nil }
            default: limits["limits.cpu"] = nil
            }
        }
        guard limits.count == name.split(separator: "-", omittingEmptySubsequences: false).count else {
            throw EngineError(
                .invalidArgument, "\(Names.quoted(name)) is not an instance type",
                hint: "write cN-mM: N processors, M GiB of memory")
        }
        return limits
    }
}
