"""What is asked in Spanish, French, German and Chinese, one block of tables per language."""

from dataclasses import dataclass

from demo_model.tables import keyed, mapping, words


@dataclass(frozen=True)
class Language:
    """The words and the sentences of one language; {x}, {y}, ... are slots as in `Intent`."""

    code: str
    name: str
    names: list[str]
    things: list[str]
    capitals: dict[str, str]
    opposites: dict[str, str]
    advice: dict[str, str]
    poems: dict[str, list[str]]
    roles: dict[str, list[str]]
    trips: dict[str, list[str]]
    functions: dict[str, str]
    """What a function does, and the English entry of `code.FUNCTIONS`."""
    questions: dict[str, list[str]]
    """Intent name: the ways to ask, then the answer."""


_QUESTIONS_ES = keyed("""
capital | ¿Cuál es la capital de {x}? | Dime la capital de {x}. | La capital de {x} es {value}.
opposite | ¿Cuál es el contrario de "{x}"? | Dime lo opuesto de "{x}". | Es "{value}".
advice | ¿Cómo puedo {x}? | {n} quiere {x}. ¿Qué debe hacer? | Para {x}, {value}.
poem | Escribe un poema corto sobre {x}. | Quiero un poema sobre {x} para {n}. | {line}
role | Eres {x}. Saluda a {n}. | Actúa como {x} y habla con {n}. | {line}
trip | Haz un plan de {k} días en {x}. | {n} viaja a {x} por {k} días. Haz un plan. | Día
code | Escribe una función de Python que {x}. | ¿Cómo escribo en Python algo que {x}? | code
add | ¿Cuánto es {x} + {y}? | Suma {x} y {y}. | sum
story | {n} tiene {x} {f} y compra {y} más. ¿Cuántos son en total? | \
{n} compra {x} {f} y luego {y} más. ¿Cuántos son? | \
En total son {x} + {y} = {value} {f}.
maximum | ¿Cuál es el mayor de estos números: {l}? | Busca el máximo de {l}. | El mayor es {value}.
""")

SPANISH = Language(
    code="es",
    name="Spanish",
    names=words("Lucía | Pablo | Elena | Diego | Carmen | Javier | Sofía | Mateo"),
    things=words("libros | lápices | limones | plátanos | dulces"),
    capitals=mapping("""
Francia | París
España | Madrid
Italia | Roma
Alemania | Berlín
Japón | Tokio
Perú | Lima
Cuba | La Habana
Egipto | El Cairo
"""),
    opposites=mapping("""
grande | pequeño
alto | bajo
frío | caliente
nuevo | viejo
rápido | lento
lleno | vacío
"""),
    advice=mapping("""
dormir mejor | hay que acostarse temprano y apagar las pantallas
ahorrar dinero | hay que anotar los gastos y cocinar en casa
aprender inglés | hay que practicar cada día y mirar películas
hacer amigos | hay que salir más y escuchar a los demás
"""),
    poems=keyed("""
la luna | La luna brilla en la noche oscura | y llena el campo de luz y ternura.
el mar | El mar azul no deja de cantar | y el viento aprende con él a bailar.
la lluvia | La lluvia cae sobre mi ventana | y me despierta por la mañana.
el sol | El sol dorado vuelve a salir | y todo el pueblo empieza a vivir.
"""),
    roles=keyed("""
un pirata | ¡Arr! | navego por los mares
un mago | ¡Saludos! | hago magia en mi torre
un cocinero | ¡Buen provecho! | cocino todo el día
un robot | ¡Bip bip! | sigo instrucciones
"""),
    trips=keyed("""
Madrid | el Prado | el Retiro | la Plaza Mayor
Lima | Miraflores | el museo del oro | la costa
Roma | el Coliseo | el Vaticano | el Foro
"""),
    functions=mapping("""
sume dos números | returns the sum of two numbers
ordene una lista | sorts a list
invierta un texto | reverses a string
cuente las letras de una palabra | counts the letters in a word
doble un número | doubles a number
"""),
    questions=_QUESTIONS_ES,
)

_QUESTIONS_FR = keyed("""
capital | Quelle est la capitale {x} ? | Donne-moi la capitale {x}. | La capitale {x} est {value}.
opposite | Quel est le contraire de « {x} » ? | Donne un antonyme de « {x} ». | C'est « {value} ».
advice | Comment puis-je {x} ? | {n} veut {x}. Que faire ? | Pour {x}, {value}.
poem | Écris un court poème sur {x}. | Je veux un poème sur {x} pour {n}. | {line}
role | Tu es {x}. Salue {n}. | Parle comme {x} à {n}. | {line}
trip | Fais un plan de {k} jours à {x}. | {n} va à {x} pour {k} jours. Fais un plan. | Jour
code | Écris une fonction Python qui {x}. | Montre-moi du code Python qui {x}. | code
add | Combien font {x} + {y} ? | Additionne {x} et {y}. | sum
story | {n} a {x} {f} et en achète {y}. Combien en tout ? | \
{n} trouve {x} {f} puis encore {y}. Combien en tout ? | \
En tout, {x} + {y} = {value} {f}.
maximum | Quel est le plus grand nombre : {l} ? | Trouve le maximum de {l}. | \
Le plus grand est {value}.
""")

FRENCH = Language(
    code="fr",
    name="French",
    names=words("Chloé | Hugo | Camille | Louis | Manon | Jules | Léa | Antoine"),
    things=words("livres | crayons | citrons | gâteaux | bonbons"),
    capitals=mapping("""
de la France | Paris
de l'Espagne | Madrid
de l'Italie | Rome
de l'Allemagne | Berlin
du Japon | Tokyo
du Pérou | Lima
de la Chine | Pékin
de l'Égypte | Le Caire
"""),
    opposites=mapping("""
grand | petit
haut | bas
froid | chaud
nouveau | ancien
rapide | lent
plein | vide
"""),
    advice=mapping("""
mieux dormir | il faut se coucher tôt et éteindre les écrans
économiser | il faut noter ses dépenses et cuisiner à la maison
apprendre l'anglais | il faut pratiquer chaque jour et regarder des films
se faire des amis | il faut sortir plus et écouter les autres
"""),
    poems=keyed("""
la lune | La lune veille sur la nuit | et dans le ciel doucement luit.
la mer | La mer chante depuis toujours | et berce nos nuits et nos jours.
la pluie | La pluie danse sur le toit | et chante doucement pour moi.
le soleil | Le soleil sort de son lit d'or | et chaque jour brille plus fort.
"""),
    roles=keyed("""
un pirate | Arr ! | je parcours les mers
un magicien | Salutations ! | je fais de la magie
un chef | Bon appétit ! | je cuisine toute la journée
un robot | Bip bip ! | je suis les instructions
"""),
    trips=keyed("""
Paris | la tour Eiffel | le Louvre | Montmartre
Rome | le Colisée | le Vatican | le Forum
Berlin | la porte de Brandebourg | l'île aux musées | le zoo
"""),
    functions=mapping("""
additionne deux nombres | returns the sum of two numbers
trie une liste | sorts a list
inverse un texte | reverses a string
compte les lettres d'un mot | counts the letters in a word
double un nombre | doubles a number
"""),
    questions=_QUESTIONS_FR,
)

_QUESTIONS_DE = keyed("""
capital | Was ist die Hauptstadt von {x}? | Wie heißt die Hauptstadt von {x}? | \
Die Hauptstadt von {x} ist {value}.
opposite | Was ist das Gegenteil von „{x}“? | Nenne ein Antonym zu „{x}“. | Das ist „{value}“.
advice | Wie kann ich {x}? | {n} möchte {x}. Was hilft? | Das hilft: {value}.
poem | Schreibe ein kurzes Gedicht über {x}. | Ich möchte ein Gedicht über {x} für {n}. | {line}
role | Du bist {x}. Begrüße {n}. | Sprich wie {x} mit {n}. | {line}
trip | Plane {k} Tage in {x}. | {n} fährt für {k} Tage nach {x}. Mach einen Plan. | Tag
code | Schreibe eine Python-Funktion, die {x}. | Zeig mir Python-Code, der {x}. | code
add | Wie viel ist {x} + {y}? | Addiere {x} und {y}. | sum
story | {n} hat {x} {f} und kauft noch {y}. Wie viele sind das? | \
{n} findet {x} {f} und dann noch {y}. Wie viele sind das? | \
Das sind {x} + {y} = {value} {f}.
maximum | Welche Zahl ist die größte: {l}? | Finde das Maximum von {l}. | \
Die größte Zahl ist {value}.
""")

GERMAN = Language(
    code="de",
    name="German",
    names=words("Lena | Jonas | Greta | Lukas | Marie | Finn | Klara | Moritz"),
    things=words("Bücher | Stifte | Zitronen | Kekse | Münzen"),
    capitals=mapping("""
Frankreich | Paris
Spanien | Madrid
Italien | Rom
Deutschland | Berlin
Japan | Tokio
Ägypten | Kairo
Österreich | Wien
Polen | Warschau
"""),
    opposites=mapping("""
groß | klein
hoch | tief
kalt | heiß
neu | alt
schnell | langsam
voll | leer
"""),
    advice=mapping("""
besser schlafen | früh ins Bett gehen und den Bildschirm ausschalten
Geld sparen | Ausgaben notieren und zu Hause kochen
Englisch lernen | jeden Tag üben und Filme sehen
Freunde finden | öfter ausgehen und gut zuhören
"""),
    poems=keyed("""
den Mond | Der Mond steht still in dunkler Nacht | und hält am Himmel treu die Wacht.
das Meer | Das Meer singt leise in mein Ohr | ein altes Lied vom Wind davor.
den Regen | Der Regen klopft ans Fenster an | und singt so lange, wie er kann.
die Sonne | Die Sonne lacht am Himmelszelt | und wärmt die ganze weite Welt.
"""),
    roles=keyed("""
ein Pirat | Arr! | ich segle über die Meere
ein Zauberer | Seid gegrüßt! | ich zaubere in meinem Turm
ein Koch | Guten Appetit! | ich koche den ganzen Tag
ein Roboter | Piep piep! | ich folge Anweisungen
"""),
    trips=keyed("""
Berlin | das Brandenburger Tor | die Museumsinsel | den Zoo
Rom | das Kolosseum | den Vatikan | das Forum
Wien | den Prater | die Oper | das Schloss
"""),
    functions=mapping("""
zwei Zahlen addiert | returns the sum of two numbers
eine Liste sortiert | sorts a list
einen Text umdreht | reverses a string
die Buchstaben eines Wortes zählt | counts the letters in a word
eine Zahl verdoppelt | doubles a number
"""),
    questions=_QUESTIONS_DE,
)

_QUESTIONS_ZH = keyed("""
capital | {x}的首都是哪里? | 请问{x}的首都是什么? | {x}的首都是{value}。
opposite | “{x}”的反义词是什么? | 请说出“{x}”的反义词。 | 是“{value}”。
advice | 我怎样才能{x}? | {n}想{x},该怎么做? | 要想{x},可以{value}。
poem | 写一首关于{x}的短诗。 | 请为{n}写一首关于{x}的诗。 | {line}
role | 你是{x},请向{n}问好。 | 请扮演{x}和{n}说话。 | {line}
trip | 请安排{x}的{k}天旅行。 | {n}要去{x}玩{k}天,请做个计划。 | 第
code | 写一个Python函数,{x}。 | 请用Python{x}。 | code
add | {x} + {y} 等于多少? | 计算 {x} + {y}。 | sum
story | {n}有{x}个{f},又买了{y}个。一共有几个? | \
{n}先拿{x}个{f},再拿{y}个。一共几个? | 一共 {x} + {y} = {value} 个{f}。
maximum | 这些数里哪个最大:{l}? | 找出 {l} 的最大值。 | 最大的是 {value}。
""")

CHINESE = Language(
    code="zh",
    name="Chinese",
    names=words("小明 | 小红 | 小华 | 小丽 | 小刚 | 小美 | 小军 | 小兰"),
    things=words("苹果 | 橘子 | 鸡蛋 | 面包 | 杯子"),
    capitals=mapping("""
法国 | 巴黎
日本 | 东京
中国 | 北京
意大利 | 罗马
德国 | 柏林
埃及 | 开罗
泰国 | 曼谷
"""),
    opposites=mapping("""
大 | 小
高 | 低
冷 | 热
新 | 旧
快 | 慢
多 | 少
"""),
    advice=mapping("""
睡得更好 | 早点上床,少看手机
省钱 | 记录支出,在家做饭
学好英语 | 每天练习,多看电影
交朋友 | 多出门,多听别人说话
"""),
    poems=keyed("""
月亮 | 月亮照在小河上, | 好像银色的灯光。
大海 | 大海唱歌不停歇, | 浪花开在蓝天下。
春雨 | 春雨轻轻落下来, | 小草悄悄把头抬。
太阳 | 太阳升起红又圆, | 照亮大地和蓝天。
"""),
    roles=keyed("""
海盗 | 嘿! | 我在大海上航行
魔法师 | 欢迎! | 我在塔里学魔法
厨师 | 请坐! | 我每天做好菜
机器人 | 滴滴! | 我听从指令
"""),
    trips=keyed("""
北京 | 故宫 | 长城 | 天坛
东京 | 浅草寺 | 上野公园 | 银座
巴黎 | 铁塔 | 卢浮宫 | 圣母院
"""),
    functions=mapping("""
计算两个数的和 | returns the sum of two numbers
给列表排序 | sorts a list
把文字倒过来 | reverses a string
数一个词的字母 | counts the letters in a word
把一个数加倍 | doubles a number
"""),
    questions=_QUESTIONS_ZH,
)

LANGUAGES = (SPANISH, FRENCH, GERMAN, CHINESE)
