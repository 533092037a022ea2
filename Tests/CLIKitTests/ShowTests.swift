import Testing
import WireTypes

@testable import CLIKit

@Suite struct PlainTextTests {
    @Test func controlCharactersAreShownAndNotObeyed() {
        #expect(PlainText.escaped("a\u{1B}[31mb\n\t\u{7F}") == #"a\u{1B}[31mb\n\t\u{7F}"#)
        #expect(PlainText.escaped("x\u{202E}y\u{200F}") == #"x\u{202E}y\u{200F}"#)
        #expect(PlainText.escaped("plain ä 日本 👍🏽") == "plain ä 日本 👍🏽")
    }

    @Test(arguments: [("abc", 3), ("ä", 1), ("e\u{301}", 1), ("日本", 4), ("👍🏽", 2), ("❤️", 2), ("", 0), ("ｆ", 2)])
    func widths(_ text: String, _ width: Int) {
        #expect(PlainText.width(text) == width)
    }

    @Test func cutsAtColumns() {
        #expect(PlainText.cut("abcdef", to: 4) == "abc…")
        #expect(PlainText.cut("日本語", to: 4) == "日…")
        #expect(PlainText.cut("abc", to: 3) == "abc")
        #expect(PlainText.cut("abc", to: 1) == "…" && PlainText.cut("abc", to: 0) == "")
    }
}

@Suite struct TableTests {
    private var table: Table {
        var table = Table([.init("NAME", minimum: 6), .init("SIZE", right: true), .init("STATUS")])
        table.add("web", "1", .init("Running", .good))
        table.add("日本", "1234", "Stopped")
        table.add("a-very-long-name", "", "x")
        return table
    }

    @Test func columnsStandUnderEachOther() {
        #expect(
            table.lines() == [
                "NAME              SIZE  STATUS", "web                  1  Running", "日本              1234  Stopped",
                "a-very-long-name        x",
            ])
    }

    @Test func aNarrowTerminalCutsWhatMayBeCut() {
        let lines = table.lines(width: 24)
        #expect(lines.map { PlainText.width($0) }.max() ?? 99 <= 24)
        #expect(lines[3].hasPrefix("a-very-l…") && lines[1] == "web           1  Running")
        // Never below the minimum, whatever the terminal.
        #expect(table.lines(width: 5)[3].hasPrefix("a-ver…"))
    }

    @Test func coloursDoNotMoveColumns() {
        let lines = table.lines(color: true)
        #expect(lines[1] == "web                  1  \u{1B}[32mRunning\u{1B}[0m")
        #expect(lines[0].contains("\u{1B}[1mNAME\u{1B}[0m"))
    }

    @Test func namesCannotBreakALine() {
        var table = Table([.init("NAME")])
        table.add("a\nb\u{1B}[2J")
        #expect(table.lines()[1] == #"a\nb\u{1B}[2J"#)
    }

    @Test func csv() {
        var table = Table([.init("A"), .init("B")])
        table.add("x,y", "say \"hi\"")
        table.add("two\nlines", "plain")
        #expect(CSV.lines(table) == [#""x,y","say ""hi""""#, "\"two\nlines\",plain"])
    }
}

@Suite struct QuantityTests {
    @Test(
        arguments: [
            (0, "0B"), (1023, "1023B"), (1024, "1KiB"), (1536, "1.5KiB"), (10_000_000, "9.54MiB"),
            (123_456_789, "118MiB"),
            (5 << 40, "5TiB"), (-2048, "-2KiB"), (Int64.max, "8EiB"),
        ] as [(Int64, String)])
    func bytes(_ value: Int64, _ text: String) { #expect(Quantity.bytes(value) == text) }

    @Test(arguments: [
        (0.0, "0s"), (59.9, "59s"), (60, "1m"), (3600, "1h"), (86_400, "24h"), (172_800, "2d"), (1e9, "31y"),
        (-5, "0s"),
    ])
    func spans(_ seconds: Double, _ text: String) { #expect(Quantity.span(seconds: seconds) == text) }

    @Test(arguments: [
        ("512m", "512MiB"), ("1g", "1GiB"), ("1G", "1GiB"), ("2GB", "2GB"), ("512MiB", "512MiB"), ("1024", "1024"),
        ("50%", "50%"), ("1.5g", "1610612736"), ("0.5KiB", "512"),
    ])
    func sizes(_ text: String, _ lxd: String) throws { #expect(try Quantity.size(text, option: "-m") == lxd) }

    @Test(arguments: ["", "m", "-1m", "0", "1x", "1 m", "1e9", "٣m", "99999999999999999999m1"])
    func refusesWhatIsNoSize(_ text: String) {
        #expect(usageError { _ = try Quantity.size(text, option: "-m") } != nil)
    }

    @Test func seconds() throws {
        #expect(try Quantity.seconds("90", option: "x") == 90)
        #expect(try Quantity.seconds("1h30m", option: "x") == 5400)
        #expect(try Quantity.seconds("250ms", option: "x") == 0.25)
        for text in ["", "x", "5", "-1s", "1w", "m"] where text != "5" {
            #expect(usageError { _ = try Quantity.seconds(text, option: "x") } != nil, "\(text)")
        }
    }
}

@Suite struct ProgressTests {
    private func operation(_ metadata: [String: JSONValue]) -> API.Operation {
        var operation = API.Operation()
        operation.metadata = metadata
        return operation
    }

    @Test func showsIslesProgress() throws {
        let line = try #require(
            ProgressLine(
                operation([
                    "progress": [
                        "stage": "pull", "percent": "42", "speed": "2097152", "done": 4_404_019, "total": 10_485_760,
                    ]
                ])))
        #expect(line.plain == "pull 42% 4.2MiB/10MiB 2MiB/s")
        #expect(line.bar(width: 60) == "pull ██████░░░░░░░░░ 42%  4.2MiB/10MiB 2MiB/s")
        #expect(PlainText.width(line.bar(width: 20)) < 20)
    }

    @Test func showsLXDsText() throws {
        let line = try #require(ProgressLine(operation(["download_progress": "rootfs: 5% (1MB/s)"])))
        #expect(line.plain == "download rootfs: 5% (1MB/s)")
    }

    @Test func saysNothingWithoutProgress() {
        #expect(ProgressLine(operation(["fds": [:]])) == nil)
        #expect(ProgressLine(API.Operation()) == nil)
    }

    @Test func aLogGetsFewLines() {
        var pace = ProgressPace()
        var shown: [Int64] = []
        for second in Int64(0)..<20
        where pace.shows(ProgressLine(stage: "pull", done: second * 5, total: 100), now: Double(second)) {
            shown.append(second)
        }
        #expect(shown == [1, 3, 5, 7, 9, 11, 13, 15, 17, 19])
        // A new stage waits its second again.
        let later = [(0, 21.0), (0, 22.5), (1, 30)].map { done, now in
            pace.shows(ProgressLine(stage: "unpack", done: done, total: 100), now: now)
        }
        #expect(later == [false, true, false])
    }

    @Test func nonsenseIsBounded() throws {
        let line = try #require(ProgressLine(operation(["progress": ["stage": "a\u{1B}[2J", "percent": "900"]])))
        #expect(line.fraction == 1 && line.plain == #"a\u{1B}[2J 100%"#)
    }
}

@Suite struct InstanceTableTests {
    @Test func oneRowForEach() {
        var web = API.Instance()
        web.name = "web"
        web.kind = "application"
        web.status = "Running"
        web.addresses = ["10.0.0.2", "fd00::2"]
        web.imageReference = "docker.io/library/nginx:latest"
        web.createdAt = "2026-01-01T00:00:00Z"
        var port = API.PublishedPort()
        (port.hostAddress, port.hostPort, port.guestPort) = ("127.0.0.1", 8080, 80)
        var open = port
        (open.hostAddress, open.hostPort, open.transport) = ("0.0.0.0", 53, "udp")
        web.ports = [port, open]
        var job = API.Instance()
        (job.name, job.type, job.status) = ("job", "container", "Stopped")
        job.exit = API.InstanceExit()
        job.exit?.exitCode = 3
        let rows = InstanceTable.list([web, job], now: (Timestamp.seconds("2026-01-01T01:00:00Z") ?? 0)).rows
        #expect(
            rows[0].map(\.text) == [
                "web", "application", "Running", "10.0.0.2", "8080->80, 0.0.0.0:53->80/udp", "nginx", "1h ago",
            ])
        #expect(rows[1].map(\.text) == ["job", "container", "Stopped (3)", "-", "-", "-", "-"])
        #expect(rows[1][2].color == .bad)
    }

    @Test func usageIsWhatWasUsedBetween() {
        func instance(_ name: String, _ nanoseconds: Int64) -> API.Instance {
            var instance = API.Instance()
            (instance.name, instance.status) = (name, "Running")
            var state = API.InstanceState()
            state.cpu.usage = nanoseconds
            instance.state = state
            return instance
        }
        let table = UsageTable.table(
            before: [instance("a", 0), instance("b", 0)],
            after: [instance("a", 500_000_000), instance("b", 2_000_000_000), instance("new", 1)], seconds: 2)
        #expect(table.rows.map { $0[0].text } == ["b", "a", "new"])
        #expect(table.rows.map { $0[2].text } == ["100%", "25%", "-"])
    }

    @Test func events() {
        let event: JSONValue = [
            "type": "lifecycle", "timestamp": "2026-01-01T12:00:00.123456Z",
            "metadata": ["action": "instance-started", "source": "/1.0/instances/web", "name": "web"],
        ]
        #expect(EventLine.fields(event) == ["12:00:00.123", "lifecycle", "instance-started", "web"])
    }
}
