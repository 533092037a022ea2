extension ClosedRange where Bound == UInt16 {
    /// A port or several in a row as LXD's API and nft(8) write them: `80`, `90-99`.
    public var portText: String { count == 1 ? "\(lowerBound)" : "\(lowerBound)-\(upperBound)" }
}
