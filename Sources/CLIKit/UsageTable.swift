public import WireTypes

/// What running instances use.
public enum UsageTable {
    /// One row for each instance that runs, the busiest first. `before` and `after` are `seconds` apart.
    public static func table(before: [API.Instance], after: [API.Instance], seconds: Double) -> Table {
        var table = Table([
            .init("NAME", minimum: 12), .init("KIND"), .init("CPU", right: true), .init("MEMORY", right: true),
            .init("LIMIT", right: true), .init("PROCESSES", right: true), .init("RECEIVED", right: true),
            .init("SENT", right: true),
        ])
        let earlier = Dictionary(before.map { ($0.name, $0.state?.cpu.usage ?? 0) }, uniquingKeysWith: { $1 })
        func percent(_ instance: API.Instance) -> Double? {
            guard let usage = instance.state?.cpu.usage, let old = earlier[instance.name], seconds > 0 else {
                return nil
            }
            return max(0, Double(usage - old) / seconds / 1e7)
        }
        let rows = after.filter { $0.state != nil && ($0.status == "Running" || $0.status == "Frozen") }
            .map { (instance: $0, percent: percent($0)) }
            .sorted { ($0.percent ?? -1, $1.instance.name) > ($1.percent ?? -1, $0.instance.name) }
        for (instance, percent) in rows {
            guard let state = instance.state else { continue }
            let traffic = (state.network ?? [:]).filter { $0.key != "lo" }.map(\.value.counters)
            table.add(
                .init(instance.name), .init(instance.kind ?? instance.type),
                .init(
                    percent.map { Quantity.decimal($0, digits: 1) + "%" } ?? "-", (percent ?? 0) >= 80 ? .warning : nil),
                .init(state.memory.usage > 0 ? Quantity.bytes(state.memory.usage) : "-"),
                .init(state.memory.total.map(Quantity.bytes) ?? "-"),
                .init(state.processes > 0 ? String(state.processes) : "-"),
                .init(Quantity.bytes(traffic.reduce(0) { $0 + $1.bytesReceived })),
                .init(Quantity.bytes(traffic.reduce(0) { $0 + $1.bytesSent })))
        }
        return table
    }
}
