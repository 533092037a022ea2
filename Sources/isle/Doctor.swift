import ArgumentParser
import CLIKit
import Client
import WireTypes

/// `isle doctor`.
struct Doctor: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Check what works on this host, and what to do about the rest.",
        discussion: """
            Ends with exit code 1 if something that Isle needs does not work; warnings
            alone do not count.

            Example: isle doctor
            """)
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let answer = try global.client.get(JSONValue.self, Endpoint(["doctor"]))
        let report = try answer.decoded(as: API.DoctorReport.self)
        let output = Output(options: global)
        switch global.format {
        case .json, .yaml: try output.value(answer)
        case .csv:
            output.lines(
                report.checks.map {
                    [$0.name, $0.level, $0.finding, $0.advice ?? ""].map(CSV.field).joined(separator: ",")
                })
        case .table: for check in report.checks { show(check, output) }
        }
        if report.checks.contains(where: { $0.level == "error" }) { throw ExitCode(1) }
    }

    private func show(_ check: API.DoctorCheck, _ output: Output) {
        if global.quiet && check.level == "ok" { return }
        let (mark, color): (String, Color) =
            switch check.level {
            case "ok": ("ok  ", .good)
            case "warning": ("warn", .warning)
            default: ("FAIL", .bad)
            }
        output.lines([
            "\(Style.output.paint(mark, color))  \(Style.output.paint(PlainText.escaped(check.name), .heading)): \(PlainText.escaped(check.finding))"
        ])
        if let advice = check.advice { output.lines(["      → \(PlainText.escaped(advice))"]) }
    }
}
