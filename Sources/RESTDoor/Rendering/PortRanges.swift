import Model

/// Lists of ports as LXD's API has them.
enum PortRanges {
    /// Reads `80,90-99`; nothing of an empty text.
    ///
    /// - Throws: `invalidArgument` naming `field`.
    static func read(_ text: String, _ field: String) throws -> [ClosedRange<UInt16>] {
        guard !text.isEmpty else { return [] }
        return try text.split(separator: ",", omittingEmptySubsequences: false).map { part in
            let ends = part.split(separator: "-", omittingEmptySubsequences: false).map { UInt16($0) }
            guard (1...2).contains(ends.count), let first = ends[0], let last = ends[ends.count - 1], first > 0,
                first <= last
            else {
                throw EngineError(
                    .invalidArgument, "\(field) \(Names.quoted(text)) is not a list of ports", hint: "as 80,90-99")
            }
            return first...last
        }
    }
}
