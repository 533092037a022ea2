import Model

extension Cgroup {
    /// Forbids kinds of access (`r`, `w`, `m`) to one device (Documentation/admin-guide/cgroup-v1/devices.rst).
    /// - Parameter path: what the device is called in an error.
    /// - Throws: `unsupported` on a host without v1's controller: v2 has a BPF program in its place.
    public mutating func deny(_ access: String, isBlock: Bool, major: UInt32, minor: UInt32, path: String) throws {
        guard let hierarchy = host.layout.hierarchy(of: "devices") else {
            throw EngineError(
                .unsupported, "this host cannot limit the access to device \(path): it has no controller 'devices'",
                hint: "give all permissions, rwm")
        }
        try add(hierarchy)
        let folder = "\(hierarchy.path)/\(host.parent)/\(name)"
        let rule = "\(isBlock ? "b" : "c") \(major):\(minor) \(access)"
        let result = files.write(rule, to: "\(folder)/devices.deny")
        guard result == 0 else { throw EngineError.cgroup(-result, "write '\(rule)' to \(folder)/devices.deny") }
    }
}
