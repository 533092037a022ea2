import Testing

@testable import Engine

struct TemplateTests {
    private func render(_ text: String) throws -> String {
        var renderer = TemplateRenderer(
            values: [
                "instance": TemplateValue(["name": "web", "type": "container"]), "trigger": .text("create"),
                "config": TemplateValue(["user.a": "1", "user.b": "2"]), "list": .list([.text("x"), .text("y")]),
            ],
            functions: ["config_get": { $0.first == .text("user.a") ? .text("one") : $0[1] }])
        return try renderer.render(TemplateText(text))
    }

    @Test(arguments: [
        ("plain { text }", "plain { text }"),
        ("{{ instance.name }}.{{ instance[\"type\"]|upper }}", "web.CONTAINER"),
        ("{{ missing }}{{ missing.member }}", ""), ("{{ missing|default:\"none\" }}", "none"),
        ("{{ config_get(\"user.a\", \"\") }} {{ config_get('user.z', 'other') }}", "one other"),
        ("{% if trigger == \"create\" and not instance.missing %}yes{% else %}no{% endif %}", "yes"),
        ("{% if trigger == \"copy\" %}a{% elif instance.type in \"container\" %}b{% endif %}", "b"),
        ("{% for key, value in config %}{{ key }}={{ value }};{% endfor %}", "user.a=1;user.b=2;"),
        ("{% for i in list %}{{ forloop.Counter }}{{ i }}{% if not forloop.Last %},{% endif %}{% endfor %}", "1x,2y"),
        ("{% for i in missing %}x{% empty %}none{% endfor %}", "none"), ("a{# left out #}b", "ab"),
        ("{% set x = list|join:\"-\" %}{{ x }}", "x-y"), ("{{ list|length }} {{ (1 < 2) }}", "2 True"),
        ("{% autoescape off %}<{{ \"&\" }}>{% endautoescape %}{% comment %}x{% endcomment %}", "<&>"),
    ])
    func templates(text: String, expected: String) throws {
        #expect(try render(text) == expected)
    }

    @Test(arguments: [
        "{{ instance.name", "{% if x %}", "{{ }}", "{{ a b }}", "{% include \"/etc/shadow\" %}",
        "{% ssi \"/etc/passwd\" %}",
        "{{ unknown() }}", "{{ a|nofilter }}", "{% for x list %}{% endfor %}", "{{ \"open }}", "{{ a ; b }}",
        "{% extends \"x\" %}", "{{ " + String(repeating: "(", count: 500) + " }}",
        String(repeating: "{% if 1 %}", count: 100),
    ])
    func whatIsRefused(text: String) {
        #expect(throws: TemplateFailure.self) { try render(text) }
    }

    @Test func outputIsBounded() {
        let loop = "{% for a in list %}"
        let text = String(repeating: loop, count: 24) + "x" + String(repeating: "{% endfor %}", count: 24)
        #expect(throws: TemplateFailure.self) { try render(text) }
    }

    @Test(arguments: ["../x", ".hidden", "a/b", "", "a\0b", String(repeating: "a", count: 200)])
    func namesOfTemplatesAreChecked(name: String) {
        #expect(throws: (any Error).self) { try MetadataFolder.check(name) }
    }

    @Test func metadataIsChecked() throws {
        func metadata(_ path: String, _ when: String = "create") -> InstanceMetadata {
            InstanceMetadata(
                architecture: "x86_64",
                templates: [path: .init(when: [when], createOnly: false, template: "t.tpl", properties: [:])])
        }
        try metadata("/etc/hostname").check()
        #expect(throws: (any Error).self) { try metadata("etc/hostname").check() }
        #expect(throws: (any Error).self) { try metadata("/etc/../../x").check() }
        #expect(throws: (any Error).self) { try metadata("/etc/hostname", "sometimes").check() }
    }
}
