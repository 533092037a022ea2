import Model

extension LaunchPlan {
    /// Decides which of the mounts whose shifted owners are optional get them, and gives a notice for each that does
    /// not. Without an id range there is nothing to shift.
    ///
    /// - Parameter obstacle: why files at a path of the host cannot be shown with shifted owners; nil if they can.
    public mutating func settleMappings(
        obstacle: (_ path: String) async throws -> String?
    ) async rethrows -> [String] {
        guard identity != nil else { return [] }
        var notices: [String] = []
        for index in mounts.indices where mounts[index].idMapped && mounts[index].isMappingOptional {
            guard let reason = try await obstacle(mounts[index].source) else { continue }
            mounts[index].idMapped = false
            notices.append(
                "\(Names.quoted(mounts[index].source)) at \(mounts[index].target) keeps the owners it has on the host, "
                    + "and root inside may only do what everybody may: \(reason)")
        }
        return notices
    }
}
