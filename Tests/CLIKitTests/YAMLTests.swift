import Testing
import WireTypes

@testable import CLIKit

@Suite struct YAMLTests {
    @Test func writesBlocks() {
        let value: JSONValue = [
            "config": ["limits.memory": "1GiB", "boot.autostart": "true", "empty": ""],
            "list": ["a", ["b": 1, "c": [2, 3]]],
            "none": nil, "no": [], "map": [:], "number": 5, "text": "two\nlines\n", "flag": true,
        ]
        #expect(
            YAML.write(value) == """
                config:
                  boot.autostart: "true"
                  empty: ""
                  limits.memory: "1GiB"
                flag: true
                list:
                - a
                - b: 1
                  c:
                  - 2
                  - 3
                map: {}
                "no": []
                none: null
                number: 5
                text: |
                  two
                  lines

                """)
    }

    @Test(arguments: [
        "", " ", "plain", "with: colon", "ends:", "# comment", "a #b", "- item", "yes", "No", "null", "~", "true", "1",
        "1.5", "0x1f",
        "1e3", ".5", "+1", "2026-01-01", "12:30", "'quoted'", "\"double\"", "a\\b", "tab\there", "\u{1B}[31m", "日本",
        "👍", "a\nb", "a\nb\n",
        "\nleading", "  indented\nblock", "trailing\n\n", "a\n\nb\n", "%x", "@x", "`x", "{a}", "[a]", "a, b", "*x",
        "&x", "!x", "|", ">", "?",
        "#!/bin/sh\necho: hi # x\n\tif true; then\n    echo\n", "line \u{2028} sep", "\u{FEFF}bom", "a\rb",
    ])
    func everyTextComesBack(_ text: String) throws {
        let value: JSONValue = [
            "key": .string(text), "nested": ["deep": [.string(text), ["k": .string(text)]]],
        ]
        #expect(try YAML.read(YAML.write(value)) == value)
        let keyed = JSONValue.object([text: 1])
        #expect(try YAML.read(YAML.write(keyed)) == keyed)
    }

    @Test func readsWhatPeopleWrite() throws {
        let text = """
            # a comment
            ---
            config:
              limits.cpu: 2      # two
              user.note: 'it''s'
              "quoted key": "a\\tb\\u00e4"
              cloud-init.user-data: |-
                #cloud-config
                packages:
                  - nginx

                runcmd: [x]
              folded: >
                one
                two

                three
            devices:
                eth0:
                    type: nic
                root: {}
            profiles:
            - default
            -   big
            - - nested
              - list
            empty:
            description: plain text, with: no
            """
        let broken = usageError { _ = try YAML.read(text) }
        #expect(broken == nil)
        let value = try YAML.read(text)
        #expect(value["config"]?["limits.cpu"] == 2)
        #expect(value["config"]?["user.note"] == "it's")
        #expect(value["config"]?["quoted key"] == "a\tbä")
        #expect(value["config"]?["cloud-init.user-data"] == "#cloud-config\npackages:\n  - nginx\n\nruncmd: [x]")
        #expect(value["config"]?["folded"] == "one two\nthree\n")
        #expect(value["devices"] == ["eth0": ["type": "nic"], "root": [:]])
        #expect(value["profiles"] == ["default", "big", ["nested", "list"]])
        #expect(value["empty"] == .null)
        #expect(value["description"] == "plain text, with: no")
    }

    @Test(arguments: [
        ("a: 1\na: 2", 2), ("a: 1\n   b: 2", 2), ("a: &x 1", 1), ("a: [1, 2]", 1), ("a:\n\tb: 1", 2), ("a: \"open", 1),
        ("a: 1\nnonsense", 2),
        ("a: 'x' y", 1), ("a: |9x\n  b", 1), ("- a\nb: 1", 2), ("a: *x", 1),
    ])
    func refusesTheRestWithTheLine(_ text: String, _ line: Int) {
        #expect(usageError { _ = try YAML.read(text) }?.hasPrefix("line \(line) ") == true)
    }

    @Test func nothingIsNull() throws {
        #expect(try YAML.read("") == .null)
        #expect(try YAML.read("# only a comment\n") == .null)
    }
}
