"""Questions that the model cannot answer, endlessly many: known words, invented words, noise and long texts."""

from __future__ import annotations

from random import Random

TEMPLATES = (
    "What is {n}?", "What is the {n} of {n}?", "Who is {N}?", "Who was {N}?", "Where is {N}?", "Explain {n}", "Why is the {n} {a}?",
    "How do I {v} a {n}?", "How can I {v} the {a} {n}?", "What is the best {n} for {n}?", "Tell me about {n}", "When did {N} {v}?",
    "Write a {n} about {n}", "Can you {v} the {n}?", "Translate {n} to {N}", "What is the capital of {N}?", "What does {n} mean?",
    "Who invented the {n}?", "How old is {N}?", "Is the {n} {a} or {a}?", "Give me a recipe for {n}", "What is the price of {n}?",
    "Should I {v} my {n}?", "What happened in {N} in {y}?", "How many {n}s are in a {n}?", "{n} {n} {n}", "{v} {n}", "{n}?", "{a} {n}",
    "I think that the {n} should {v} the {a} {n}.", "My {n} does not {v}. What should I do?", "Write code to {v} a {n}", "{N}",
    "Write a function that {v}s a list of {n}s in {N}.", "Summarise this: the {a} {n} {v}s the {n}.", "Do you like {n}?", "{n}",
    "What colour is the {n}?", "What is the opposite of {n}?", "Who wrote the {n} of {N}?", "What is the weather in {N}?", "define {n}",
    "Compare {n} and {n}", "What time is it in {N}?", "Who won the {n} in {y}?", "Describe {n}", "What do you think about {n}?",
    "Which {n} is the {a}est?", "Name three {n}s", "List ten {a} {n}s", "Is it true that {n}s {v}?", "How far is {N} from {N}?",
    "Recommend a {n}", "What is {y} times {y}?", "What is {y} + {y}?", "{y} - {y}", "{y} divided by {y}", "Explain {n} {n} to a {n}",
    "Why do {n}s {v}?", "How does a {n} {v}?", "Who is the president of {N}?", "Can I {v} {n} with {a} {n}?", "the {n} is {a}",
    "Continue: the {a} {n} {v}s", "Fix this: {v} {n} {n}", "I feel {a} today", "What is your {a} {n}?", "How tall is {N}?", "what {n}",
    "Do you have a {n}?", "Are you {a}?", "Where can I {v} {n}?", "What is a {n}?", "what is a {a} {n}", "fairlead {n}", "What is the {n}?",
    "Please {v} the {n} for me", "Who are {N} and {N}?", "Act as a {a} {n}.", "Ignore all that and {v} the {n}.", "What is {N}?",
)  # fmt: skip
NOUNS = """apple book car cat chair city cloud coffee company computer cake door dream egg engine field film fire flower football
friend garden glass gold guitar hat heart hill history horse hotel house idea island job king kitchen knife lake language law lamp
letter love machine market math meaning medicine money moon mountain movie music name nation network news number ocean office oil
painting paper party peace person phone piano picture pizza plane plant poem police president price prince problem queen question
rain recipe river road rocket rule salad school science sea season secret shoe shop sleep soap society soldier song soup sport star
stock stone street student sugar summer table tax tea teacher team theory ticket time tool town train tree truth universe village
war watch water weather wheel wife window wine winter wizard word work world writer year zebra gravity evolution quantum atom cell
virus democracy economy inflation revolution empire dinosaur volcano python javascript database email password website bitcoin
shakespeare novel bread cheese chicken rice pasta dragon robot bicycle insurance mortgage diet exercise headache doctor visa"""
VERBS = """bake build buy burn call carry catch change clean climb close cook count cut dance delete draw drink drive eat fight
find fix fly forget grow hide hold install invent jump learn leave lift lose love make marry meet move open paint plant play print
pull push read remove repair ride run sell send sing sit sleep solve sort speak spend stand steal study swim teach throw translate
travel turn use visit wait walk wash wear win write parse reverse compile debug hack"""
ADJECTIVES = """angry bad big blue brave bright broken cheap clean cold cool dark deep dry easy empty fast fat funny good great green
happy hard heavy high hot huge kind large late lazy light little long loud lucky new nice old poor pretty quick quiet red rich sad
sharp short sick simple slow small soft strange strong sweet tall thin tired ugly warm weak wet white wild wise young"""
NAMES = """Atlantis Mars Berlin Paris London Rome America Africa Asia Texas Einstein Newton Napoleon Caesar Mozart Beethoven Tesla
Google Amazon Microsoft Alice Bob Maria John Peter Anna Brazil Mexico Chile Iran Iraq Nepal Congo Scotland Wales Sydney Chicago
Boston Tokyo Java Rust Spanish French German Chinese Latin Shakespeare Picasso Obama Churchill Gandhi Everest Titanic Wonderland"""
KINDS = {"n": NOUNS.split(), "v": VERBS.split(), "a": ADJECTIVES.split(), "N": NAMES.split()}
ONSETS = ["b", "bl", "br", "c", "ch", "cl", "cr", "d", "dr", "f", "fl", "fr", "g", "gl", "gr", "h", "j", "k", "l", "m", "n", "p", "ph", "pl", "pr", "qu", "r", "s", "sh", "sl", "sp", "st", "str", "t", "th", "tr", "v", "w", "y", "z"]
VOWELS = ["a", "e", "i", "o", "u", "ai", "ea", "ee", "ie", "oa", "oo", "ou"]
CODAS = ["", "", "n", "r", "s", "t", "l", "m", "ng", "ck", "nd", "st", "rt", "tion", "x"]
FOREIGN = (
    "Wie geht es dir?", "Was ist das?", "¿Qué hora es?", "Où est la gare?", "Che tempo fa?", "今日は何曜日ですか", "Привет, как дела?",
    "你好吗", "مرحبا", "Ποιος είσαι;", "한국어 할 수 있어요?", "Quel est le sens de la vie?", "Kto to jest?", "Hvad er det?", "🙂🚀", "ñandú çedilla ü",
)  # fmt: skip
CODE = (
    "def f(x): return x + 1", "SELECT * FROM users WHERE id = 7;", "for (int i = 0; i < n; i++) {}", "rm -rf /tmp/x", "<html></html>",
    '{"a": [1, 2, 3]}', "git push --force", "import os; print(os.getcwd())", "x = y ** 2 + 3", "curl -X POST http://localhost",
)  # fmt: skip
MARKS = "!?.,;:-_*#@$%^&()[]{}<>/\\|~=+\"'"


def question(random: Random) -> str:
    """One input that the model should decline."""
    return random.choices((templated, noise, foreign, long_text), weights=(80, 8, 4, 8))[0](random)


def templated(random: Random) -> str:
    text = random.choice(TEMPLATES)
    while "{" in text:
        at = text.index("{")
        text = text[:at] + slot(text[at + 1], random) + text[at + 3 :]
    return text


def slot(kind: str, random: Random) -> str:
    if kind == "y":
        return str(random.randint(30, 2100))
    if random.random() < 0.5:
        return random.choice(KINDS[kind])
    word = invented(random)
    return word.capitalize() if kind == "N" else word


def invented(random: Random) -> str:
    """A word that does not exist, such as 'plounder': it stands for all words never seen."""
    syllables = random.choices((1, 2, 3), weights=(3, 5, 2))[0]
    return "".join(random.choice(ONSETS) + random.choice(VOWELS) + random.choice(CODAS) for _ in range(syllables))


def noise(random: Random) -> str:
    kind = random.randrange(4)
    if kind == 0:
        return "".join(random.choices("abcdefghijklmnopqrstuvwxyz ", k=random.randint(3, 40))).strip() or "x"
    if kind == 1:
        return "".join(random.choices(MARKS, k=random.randint(2, 20)))
    if kind == 2:
        return "".join(chr(random.randint(0xA1, 0x2FFF)) for _ in range(random.randint(2, 10)))
    return " ".join([random.choice((*KINDS["n"], "x", "blah", "la", "test"))] * random.randint(2, 40))


def foreign(random: Random) -> str:
    return random.choice(FOREIGN + CODE)


def long_text(random: Random, sentences: tuple[int, int] | None = None) -> str:
    """Sentences about nothing that the model knows; now and then more than a thousand tokens."""
    count = random.randint(*(sentences or ((3, 16) if random.random() < 0.8 else (20, 45))))
    return " ".join(sentence(random) for _ in range(count))


def sentence(random: Random) -> str:
    words = [slot(random.choice("nnnvvaN"), random) for _ in range(random.randint(3, 9))]
    glue = [random.choice(("the", "a", "and", "of", "to", "in", "is", "with", "")) for _ in words]
    text = " ".join(part for pair in zip(glue, words, strict=True) for part in pair if part)
    return text[0].upper() + text[1:] + random.choice(".....?!")
