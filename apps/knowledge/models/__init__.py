"""The knowledge base: articles, their versions, what the search reads, and what was asked."""

from apps.knowledge.models.articles import Article as Article
from apps.knowledge.models.articles import Category as Category
from apps.knowledge.models.articles import Question as Question
from apps.knowledge.models.articles import SlugRedirect as SlugRedirect
from apps.knowledge.models.articles import Synonym as Synonym
from apps.knowledge.models.asked import AskedQuestion as AskedQuestion
from apps.knowledge.models.asked import Gap as Gap
from apps.knowledge.models.search import AnswerSettings as AnswerSettings
from apps.knowledge.models.search import IndexBuild as IndexBuild
from apps.knowledge.models.search import Passage as Passage
from apps.knowledge.models.search import PassageVector as PassageVector
from apps.knowledge.models.search import SearchIndex as SearchIndex
from apps.knowledge.models.search import Word as Word
from apps.knowledge.models.versions import ArticleFeedback as ArticleFeedback
from apps.knowledge.models.versions import ArticleImage as ArticleImage
from apps.knowledge.models.versions import ArticleVersion as ArticleVersion
from apps.knowledge.models.versions import VersionComment as VersionComment
